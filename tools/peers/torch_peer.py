"""Times PyTorch at the shapes of a report of `kinora bench`."""

import argparse
import time
from pathlib import Path

import torch

from report import answer, numbers, read, spread, write

# Seconds of all samples of a row, and how many there are at least and at most.
SECONDS, LEAST, MOST = 2.0, 3, 100


class Clock:
    """Seconds of a call: the device's events on CUDA, else the wall clock."""

    def __init__(self, device):
        self.cuda = device.type == "cuda"

    def once(self, call):
        if not self.cuda:
            start = time.perf_counter()
            call()
            return time.perf_counter() - start
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    def samples(self, seconds):
        """`seconds` takes one sample; the first two warm up."""
        for _ in range(2):
            seconds()
        taken = []
        while len(taken) < MOST and (sum(taken) < SECONDS or len(taken) < LEAST):
            taken.append(seconds())
            if taken[-1] > SECONDS:
                break
        return taken


def gemm(shape, make):
    s = numbers(shape)
    x, w, bias = make(s["m"], s["k"]), make(s["n"], s["k"]), make(s["n"])
    return lambda: torch.nn.functional.linear(x, w, bias)


def attention(shape, make):
    s = numbers(shape)
    q = make(1, s["heads"], s["q"], s["d"])
    k, v = (make(1, s["heads"], s["k"], s["d"]) for _ in range(2))
    return lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v)


def conv3d(shape, make):
    s = numbers(shape)
    c = s["c"]
    # Two frames of the chunk before, and a zero on each side.
    x = make(1, c, s["t"] + 2, s["h"], s["w"]).contiguous(memory_format=torch.channels_last_3d)
    w, bias = make(c, c, 3, 3, 3), make(c)
    return lambda: torch.nn.functional.conv3d(x, w, bias, padding=(0, 1, 1))


def block(row, make):
    """One block of diffusers' Wan transformer, with the width and tokens of the row."""
    from diffusers.models.transformers.transformer_wan import WanTransformerBlock

    s = numbers(row["shape"])
    dim, tokens = s["dim"], s["tokens"]
    # Hidden widths are those of the models, a quarter where the row is reduced.
    ffn = {3072: 14336, 5120: 13824, 1536: 8960}[dim * 4 if row["reduced"] else dim]
    ffn //= 4 if row["reduced"] else 1
    like = make(1)
    module = WanTransformerBlock(dim, ffn, dim // 128, cross_attn_norm=True).to(like.device, like.dtype).eval()
    x, text = make(1, tokens, dim), make(1, 64 if row["reduced"] else 512, dim)
    time_rows = torch.rand(1, 6, dim, device=like.device)
    angles = torch.rand(1, tokens, 1, 128, device=like.device)
    rope = (angles.cos(), angles.sin())
    return lambda: module(x, text, time_rows, rope)


def vae(row, make):
    """Seconds of a later chunk of diffusers' decoder: three latent frames take one chunk more than two."""
    from diffusers import AutoencoderKLWan

    s = numbers(row["shape"])
    like = make(1)
    new = "5b" in row["model"]
    extra = {"is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2, "z_dim": 48} if new else {}
    statistics_of = {"latents_mean": [0.0] * 48, "latents_std": [1.0] * 48} if new else {}
    module = AutoencoderKLWan(base_dim=s["base"], decoder_base_dim=s["base"], **extra, **statistics_of)
    module = module.to(like.device, like.dtype).eval()
    factor = 16 if new else 8
    latent = make(1, 48 if new else 16, 3, s["h"] // factor, s["w"] // factor)
    return lambda clock: clock.once(lambda: module.decode(latent)) - clock.once(lambda: module.decode(latent[:, :, :2]))


OPERATIONS = {"gemm": gemm, "attention": attention, "conv3d": conv3d}
MODULES = ("block", "vae")


def sampler(row, make, clock):
    """A function that takes one sample of a row."""
    if row["kind"] == "vae":
        chunk = vae(row, make)
        return lambda: chunk(clock)
    call = block(row, make) if row["kind"] == "block" else OPERATIONS[row["kind"]](row["shape"], make)
    return lambda: clock.once(call)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="JSON of `kinora bench`")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=["f32", "bf16", "f16"])
    parser.add_argument("--diffusers", action="store_true", help="also diffusers' blocks and autoencoders")
    args = parser.parse_args()
    report = read(args.report, parser)
    device = torch.device(args.device)
    dtype = args.dtype or ("bf16" if device.type == "cuda" else "f32")
    kind = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[dtype]
    clock = Clock(device)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True

    def make(*shape):
        return (torch.rand(shape, device=device) * 2 - 1).to(kind)

    known, rows = {}, []
    for row in report["rows"]:
        # A shape is timed once, whatever the weights of our rows are stored as.
        key = row["kind"], row["shape"]
        if row["kind"] not in OPERATIONS and not (args.diffusers and row["kind"] in MODULES):
            continue
        if key not in known:
            try:
                with torch.inference_mode():
                    known[key] = spread(clock.samples(sampler(row, make, clock)))
            except torch.OutOfMemoryError:
                known[key] = None
            if known[key]:
                rate = row["flops"] / known[key]["median"]
                print(f"{row['kind']} {row['shape']}: {known[key]['median']:.3g} s, {rate / 1e9:.4g} Gop/s", flush=True)
        if known[key]:
            rows.append(answer(row, dtype, known[key]))
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    write(args.output, f"torch {torch.__version__}", name, rows)


if __name__ == "__main__":
    main()
