#!/usr/bin/env python3
"""Random LoRAs of every scheme and naming for a small Wan transformer, and what the model computes with each.

    python make_loras.py OUT            (OUT is models/tests/fixtures/lora)

OUT/model.safetensors       the transformer in bf16, diffusers' names
OUT/NAME.safetensors        a LoRA
OUT/expected.safetensors    the inputs (latent, timestep, text), and for each case the velocity in f32 of the model whose
                            weights were changed by W + strength * alpha / rank * delta beforehand; of the case q8_0
                            also its quantised weights, as bytes
OUT/cases.json              case -> [[LoRA, strength], ...]
"""
import json
import sys

import gguf
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file

SHAPE = dict(patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, text_dim=32,
             freq_dim=32, ffn_dim=64, num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads", eps=1e-6)
ORIGINAL = [("condition_embedder.time_embedder.linear_1", "time_embedding.0"), ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
            ("condition_embedder.text_embedder.linear_1", "text_embedding.0"), ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
            ("condition_embedder.time_proj", "time_projection.1"), ("attn1", "self_attn"), ("attn2", "cross_attn"), ("ffn.net.0.proj", "ffn.0"),
            ("ffn.net.2", "ffn.2"), ("norm2", "norm3"), ("to_out.0", "o"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("proj_out", "head.head")]


def original(name):
    if name.endswith("scale_shift_table"):
        return name.replace("scale_shift_table", "modulation") if name.startswith("blocks.") else "head.modulation"
    for new, old in ORIGINAL:
        name = name.replace(new, old)
    return name


class Lora:
    """Collects the tensors of a file, and the change of each of the model's tensors as (kind, ...) in order."""

    def __init__(self, weights, seed):
        self.weights, self.tensors, self.changes = weights, {}, []
        self.generator = torch.Generator().manual_seed(seed)

    def random(self, *shape, scale=1.0, dtype=torch.float16):
        return (torch.randn(shape, generator=self.generator) * scale).to(dtype)

    def store(self, name, tensor):
        assert name not in self.tensors
        self.tensors[name] = tensor.contiguous()
        return tensor.float()

    def change(self, target, delta, scale=1.0, magnitude=None):
        self.changes.append((target, delta.reshape(self.weights[target].shape), scale, magnitude))

    def low_rank(self, target, module, up=".lora_up.weight", down=".lora_down.weight", rank=3, alpha=None, dtype=torch.float16, magnitude=None):
        n, *k = self.weights[target].shape
        b = self.store(module + down, self.random(rank, *k, scale=0.15, dtype=dtype))
        a = self.store(module + up, self.random(n, rank, *[1] * (len(k) - 1), scale=0.15, dtype=dtype))
        scale = 1.0
        if alpha is not None:
            scale = float(self.store(module + ".alpha", torch.tensor(alpha, dtype=dtype))) / rank
        if magnitude is not None:
            name, m = magnitude
            magnitude = self.store(module + name, m)
        self.change(target, a.flatten(1) @ b.flatten(1), scale, magnitude)

    def diff(self, target, name):
        self.change(target, self.store(name, self.random(*self.weights[target].shape, scale=0.1)))


def apply(weights, lora, strength):
    for target, delta, scale, magnitude in lora.changes:
        w = weights[target]
        if isinstance(scale, str):
            weights[target] = delta.clone()
        elif magnitude is None:
            weights[target] = w + strength * scale * delta
        else:
            changed = w + scale * delta
            if magnitude.shape[0] == w.shape[0]:
                norm = changed.flatten(1).norm(dim=1)
                magnitude = magnitude.flatten()
            else:
                norm = changed.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *[1] * (w.dim() - 2))
            factor = magnitude / norm
            if factor.dim() == 1:
                factor = factor.reshape(-1, *[1] * (w.dim() - 1))
            weights[target] = w + strength * (changed * factor - w)


def linears(weights):
    """Layers without `.weight`: those that multiply."""
    return [n.removesuffix(".weight") for n, w in weights.items() if n.endswith(".weight") and w.dim() > 1]


def make(weights):
    loras = {}

    def new(name):
        loras[name] = Lora(weights, len(loras) + 1)
        return loras[name]

    layers = linears(weights)
    some = [layer for layer in layers if not layer.startswith("blocks.1.")]

    lora = new("kohya")
    for layer in layers:
        lora.low_rank(layer + ".weight", "lora_unet_" + original(layer).replace(".", "_"), alpha=1.5)
    lora = new("musubi")
    for layer in some[:6]:
        lora.low_rank(layer + ".weight", "lora_unet__" + original(layer).replace(".", "_"), alpha=4, dtype=torch.bfloat16)

    # As the distilled pairs for few steps: differences of norms and biases beside the factors.
    lora = new("distilled")
    for layer in layers:
        lora.low_rank(layer + ".weight", "diffusion_model." + original(layer), dtype=torch.bfloat16)
    for name in weights:
        layer, _, kind = name.rpartition(".")
        if kind == "bias":
            lora.diff(name, f"diffusion_model.{original(layer)}.diff_b")
        elif "norm" in layer:
            lora.diff(name, f"diffusion_model.{original(layer)}.diff")
        elif name.endswith("scale_shift_table"):
            lora.diff(name, f"diffusion_model.{original(name)}.diff")

    lora = new("diffusers")
    for layer in layers:
        lora.low_rank(layer + ".weight", "transformer." + layer, ".lora_B.weight", ".lora_A.weight", dtype=torch.float32)
    lora = new("peft")
    for layer in layers:
        lora.low_rank(layer + ".weight", "base_model.model." + original(layer), ".lora_B.default.weight", ".lora_A.default.weight")

    lora = new("spellings")
    spellings = [("", "_lora.up.weight", "_lora.down.weight"), ("model.diffusion_model.", ".lora.up.weight", ".lora.down.weight"),
                 ("", ".lora_B", ".lora_A"), ("transformer.", ".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
                 ("base_model.model.transformer.", ".lora_B.weight", ".lora_A.weight"), ("model.", ".lora_up.weight", ".lora_down.weight")]
    for i, layer in enumerate(some):
        prefix, up, down = spellings[i % len(spellings)]
        lora.low_rank(layer + ".weight", prefix + (layer if i % 2 else original(layer)), up, down, rank=2)
    lora.low_rank("blocks.1.attn1.to_q.weight", "lora_unet_blocks_1_attn1_to_q", alpha=1)

    lora = new("locon")
    n, c, *taps = weights["patch_embedding.weight"].shape
    down = lora.store("lora_unet_patch_embedding.lora_down.weight", lora.random(3, c, 1, 1, 1, scale=0.3))
    mid = lora.store("lora_unet_patch_embedding.lora_mid.weight", lora.random(3, 3, *taps, scale=0.5))
    up = lora.store("lora_unet_patch_embedding.lora_up.weight", lora.random(n, 3, 1, 1, 1, scale=0.3))
    alpha = lora.store("lora_unet_patch_embedding.alpha", torch.tensor(2.0))
    lora.change("patch_embedding.weight", torch.einsum("mn...,im,nj->ij...", mid, up.flatten(1), down.flatten(1)), float(alpha) / 3)

    lora = new("loha")
    for layer, rank in [("blocks.0.attn1.to_q", 2), ("blocks.0.ffn.net.0.proj", 3), ("blocks.1.ffn.net.2", 5), ("patch_embedding", 2)]:
        n, *k = weights[layer + ".weight"].shape
        k = torch.Size(k).numel()
        module = "lora_unet_" + original(layer).replace(".", "_")
        a, b, c, d = (lora.store(f"{module}.hada_{part}", lora.random(*shape, scale=0.4)) for part, shape in
                      [("w1_a", (n, rank)), ("w1_b", (rank, k)), ("w2_a", (n, rank)), ("w2_b", (rank, k))])
        alpha = float(lora.store(module + ".alpha", torch.tensor(1.0)))
        lora.change(layer + ".weight", (a @ b) * (c @ d), alpha / rank)
    lora = new("loha-tucker")
    halves = []
    for half in "12":
        t = lora.store(f"patch_embedding.hada_t{half}", lora.random(2, 2, *taps, scale=0.6))
        a = lora.store(f"patch_embedding.hada_w{half}_a", lora.random(2, 32, scale=0.6))
        b = lora.store(f"patch_embedding.hada_w{half}_b", lora.random(2, 4, scale=0.6))
        halves.append(torch.einsum("ij...,jr,ip->pr...", t, b, a))
    lora.change("patch_embedding.weight", halves[0] * halves[1])

    lora = new("lokr")
    def factor(module, part, rows, columns, rank):
        if rank is None:
            return lora.store(f"{module}.lokr_{part}", lora.random(rows, columns, scale=0.3))
        a = lora.store(f"{module}.lokr_{part}_a", lora.random(rows, rank, scale=0.3))
        b = lora.store(f"{module}.lokr_{part}_b", lora.random(rank, columns, scale=0.5))
        return a @ b
    for layer, split, ranks in [("blocks.0.attn1.to_k", (4, 4), (None, None)), ("blocks.0.ffn.net.0.proj", (4, 2), (None, 2)),
                                ("blocks.1.attn2.to_v", (4, 8), (2, 2)), ("blocks.1.ffn.net.2", (2, 8), (2, None))]:
        n, k = weights[layer + ".weight"].shape
        module = "diffusion_model." + original(layer)
        w1 = factor(module, "w1", split[0], split[1], ranks[0])
        w2 = factor(module, "w2", n // split[0], k // split[1], ranks[1])
        alpha = float(lora.store(module + ".alpha", torch.tensor(1.0)))
        rank = ranks[1] or ranks[0]
        lora.change(layer + ".weight", torch.kron(w1, w2), alpha / rank if rank else 1.0)
    module = "diffusion_model.patch_embedding"
    w1 = lora.store(module + ".lokr_w1", lora.random(4, 2, scale=0.5))
    t2 = lora.store(module + ".lokr_t2", lora.random(2, 2, *taps, scale=0.5))
    a, b = lora.store(module + ".lokr_w2_a", lora.random(2, 8, scale=0.5)), lora.store(module + ".lokr_w2_b", lora.random(2, 2, scale=0.5))
    lora.change("patch_embedding.weight", torch.kron(w1[:, :, None, None, None], torch.einsum("ij...,jr,ip->pr...", t2, b, a).contiguous()))

    lora = new("differences")
    lora.diff("blocks.0.attn1.to_q.weight", "diffusion_model.blocks.0.self_attn.q.diff")
    lora.low_rank("blocks.0.attn1.to_q.weight", "diffusion_model.blocks.0.self_attn.q", alpha=2)
    lora.diff("patch_embedding.weight", "diffusion_model.patch_embedding.diff")
    lora.diff("blocks.0.norm2.weight", "diffusion_model.blocks.0.norm3.w_norm")
    lora.diff("blocks.0.norm2.bias", "diffusion_model.blocks.0.norm3.b_norm")
    for name in ["blocks.1.attn1.to_v.weight", "blocks.1.attn1.norm_q.weight"]:
        module = "diffusion_model." + original(name).removesuffix(".weight")
        value = lora.store(module + ".set_weight", lora.random(*weights[name].shape, scale=0.2))
        lora.change(name, value, "set")
    lora.low_rank("blocks.1.attn1.to_v.weight", "diffusion_model.blocks.1.self_attn.v")

    lora = new("dora")
    for layer, (name, axis) in zip(some, [(".dora_scale", 0), (".dora_scale", 1), (".lora_magnitude_vector", 0)] * 2):
        w = weights[layer + ".weight"]
        dims = [d for d in range(w.dim()) if d != axis]
        m = torch.linalg.vector_norm(w, dim=dims, keepdim=True) * (1 + lora.random(*[s if d == axis else 1 for d, s in enumerate(w.shape)], scale=0.2).float())
        m = m.flatten() if name == ".lora_magnitude_vector" else m
        lora.low_rank(layer + ".weight", "diffusion_model." + original(layer), alpha=2, magnitude=(name, m))

    lora = new("fp8")
    for layer in some[:8]:
        lora.low_rank(layer + ".weight", "diffusion_model." + original(layer), dtype=torch.float8_e4m3fn)
    return loras


def main(out):
    torch.manual_seed(0)
    model = WanTransformer3DModel(**SHAPE).eval()
    weights = {}
    for name, w in model.state_dict().items():
        fan = w[0].numel() if w.dim() > 1 else 1
        noise = torch.randn_like(w) / fan**0.5 if w.dim() > 1 and name.endswith(".weight") else torch.randn_like(w) * 0.1
        weights[name] = (noise + (1.0 if "norm" in name and name.endswith(".weight") else 0.0)).bfloat16()
    save_file(weights, f"{out}/model.safetensors")
    weights = {name: w.float() for name, w in weights.items()}

    latent, text, timestep = torch.randn(4, 2, 4, 6), torch.randn(5, 32), 637.0
    tensors = {"latent": latent, "text": text, "timestep": torch.tensor([timestep])}

    def velocity(changed):
        model.load_state_dict(changed)
        with torch.no_grad():
            return model(latent[None], torch.tensor([timestep]), text[None], return_dict=False)[0][0].contiguous()

    loras = make(weights)
    cases = {name: [[name, 1.0]] for name in loras}
    cases |= {"none": [], "kohya-half": [["kohya", 0.5]], "dora-part": [["dora", 0.6]], "two": [["kohya", 0.7], ["loha", -0.5]],
              "dora-after": [["kohya", 0.8], ["dora", 1.25]], "set-after": [["kohya", 1.0], ["differences", 0.5]], "q8_0": [["kohya", 1.0], ["lokr", 1.0]]}
    for case, used in cases.items():
        changed = dict(weights)
        if case == "q8_0":
            for name in [layer + ".weight" for layer in linears(weights) if layer.startswith("blocks.0")]:
                data = gguf.quants.quantize(weights[name].numpy(), gguf.GGMLQuantizationType.Q8_0)
                tensors["q8_0." + name] = torch.from_numpy(data.copy())
                changed[name] = torch.from_numpy(gguf.quants.dequantize(data, gguf.GGMLQuantizationType.Q8_0))
        for name, strength in used:
            apply(changed, loras[name], strength)
        tensors[case] = velocity(changed)
        assert torch.isfinite(tensors[case]).all()
        if case != "none":
            print(f"{case:14} changes the velocity by {(tensors[case] - velocity(weights)).norm() / tensors[case].norm():.3f}")
    for name, lora in loras.items():
        save_file(lora.tensors, f"{out}/{name}.safetensors")
    save_file(tensors, f"{out}/expected.safetensors")
    with open(f"{out}/cases.json", "w") as file:
        json.dump(cases, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
