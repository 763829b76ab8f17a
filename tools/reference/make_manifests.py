#!/usr/bin/env python3
"""Tensor names and shapes of the real models, from the classes that define them, built on torch's meta device.

    python make_manifests.py OUT --wan22 GIT --wan21 GIT      (OUT is models/manifests)

GIT: git directories of github.com/Wan-Video/Wan2.2 and Wan2.1, for the original names; the diffusers names come from
diffusers' and transformers' classes.  One file for a variant and naming, VARIANT.NAMING.txt.gz: a line
`# variant naming source`, then `name<TAB>d0,d1,...` in the class's order; a third column says `tied` (the same
tensor as an earlier one; published files may leave it out) or `data` (no weight).
"""
import argparse
import gzip
import os

import diffusers
import torch
import transformers

import original

TRANSFORMERS = {        # heads of 128, feed-forward, layers, input and output channels
    "wan2.2-t2v-a14b": (40, 13824, 40, 16, 16), "wan2.2-i2v-a14b": (40, 13824, 40, 36, 16), "wan2.2-ti2v-5b": (24, 14336, 30, 48, 48),
    "wan2.1-t2v-1.3b": (12, 8960, 30, 16, 16), "wan2.1-t2v-14b": (40, 13824, 40, 16, 16), "wan2.1-i2v-14b": (40, 13824, 40, 36, 16),
}
TEMPORAL = [False, True, True]
VAE22 = dict(base_dim=160, decoder_base_dim=256, z_dim=48, is_residual=True, in_channels=12, out_channels=12, patch_size=2, scale_factor_spatial=16)
UMT5 = dict(vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu")
SPIECE_BYTES = 4548313      # of google/umt5-xxl's spiece.model, as Comfy's text-encoder files carry it


def diffusers_models():
    for variant, (heads, ffn, layers, channels, out) in TRANSFORMERS.items():
        image = dict(image_dim=1280, added_kv_proj_dim=128 * heads) if variant == "wan2.1-i2v-14b" else {}
        yield variant, lambda: diffusers.WanTransformer3DModel(
            num_attention_heads=heads, attention_head_dim=128, in_channels=channels, out_channels=out, ffn_dim=ffn, num_layers=layers, **image)
    yield "wan2.1-vae", diffusers.AutoencoderKLWan
    yield "wan2.2-vae", lambda: diffusers.AutoencoderKLWan(**VAE22)
    yield "umt5-xxl", lambda: transformers.UMT5EncoderModel(transformers.UMT5Config(**UMT5))


def original_models(wan22, wan21):
    new = original.load(wan22, "wan/modules/model.py", "wan/modules/vae2_1.py", "wan/modules/vae2_2.py", "wan/modules/t5.py")
    old = original.load(wan21, "wan/modules/model.py")
    at = {"2": f"Wan-Video/Wan2.2@{original.head(wan22)}", "1": f"Wan-Video/Wan2.1@{original.head(wan21)}"}
    for variant, (heads, ffn, layers, channels, out) in TRANSFORMERS.items():
        modules = (new if variant.startswith("wan2.2") else old)["model"]
        yield variant, at[variant[5]], lambda: modules.WanModel(
            model_type="i2v" if "-i2v" in variant else "t2v", in_dim=channels, dim=128 * heads, ffn_dim=ffn, out_dim=out, num_heads=heads, num_layers=layers)
    yield "wan2.1-vae", at["2"], lambda: new["vae2_1"].WanVAE_(dim=96, z_dim=16, temperal_downsample=TEMPORAL)
    yield "wan2.2-vae", at["2"], lambda: new["vae2_2"].WanVAE_(dim=160, dec_dim=256, z_dim=48, temperal_downsample=TEMPORAL)
    yield "umt5-xxl", at["2"], lambda: new["t5"].umt5_xxl(encoder_only=True, device="meta")


def lines(model):
    seen = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        tied = seen.setdefault(id(tensor), name) != name
        yield "\t".join([name, ",".join(map(str, tensor.shape)), *(["tied"] if tied else [])])


def write(out, variant, naming, source, rows):
    text = "\n".join([f"# {variant} {naming} {source}", *rows, ""])
    with open(os.path.join(out, f"{variant}.{naming}.txt.gz"), "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(text.encode())
    print(f"{variant:18s} {naming:10s} {len(rows):5d} tensors")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("--wan22", metavar="GIT", required=True)
    p.add_argument("--wan21", metavar="GIT", required=True)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    with torch.device("meta"):
        for variant, build in diffusers_models():
            rows = list(lines(build()))
            library = "transformers" if variant == "umt5-xxl" else "diffusers"
            write(a.out, variant, "diffusers", f"{library} {globals()[library].__version__}", rows)
            if variant == "umt5-xxl":
                comfy = [r for r in rows if not r.endswith("tied")] + [f"spiece_model\t{SPIECE_BYTES}\tdata"]
                write(a.out, variant, "comfy", f"{library} {globals()[library].__version__}", comfy)
        for variant, source, build in original_models(a.wan22, a.wan21):
            write(a.out, variant, "original", source, list(lines(build())))
