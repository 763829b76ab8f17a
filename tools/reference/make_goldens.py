#!/usr/bin/env python3
"""The project's own verification cases: small modules, diffusers and transformers as the oracle.

    python make_goldens.py OUT [--only REGEX] [--wan22 GIT]     (OUT is tests/goldens)

Each case is a folder: case.json, inputs.safetensors, expected.safetensors, and weights.json, the rule that makes the
weights (weights_rule.py; no weights are stored but for the pipelines').  Every weight and input is exact in bf16; the
oracle runs in f32.  `max_rel` allows 40 times the distance between that and the same in f64, at least 2e-4.
--wan22 names a git directory of github.com/Wan-Video/Wan2.2, whose own solvers make the flow-solvers-original cases.
"""
import os
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import argparse
import copy
import json
import math
import re
import shutil
import sys

import diffusers
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

import weights_rule
from make_fixtures import converted

VERSIONS = dict(torch=torch.__version__, diffusers=diffusers.__version__, transformers=transformers.__version__)
NEGATIVE_NOTE = "transformer while t >= 1000 * boundary, transformer_2 below, each with its own guidance; frames are [B, T, C, H, W] in 0..1"


class Randn:
    """torch.randn from one seeded generator; `uniform` gives -1..1."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape):
        return torch.randn(shape, generator=self.generator).bfloat16().float()

    def uniform(self, *shape):
        return (torch.rand(shape, generator=self.generator) * 2 - 1).bfloat16().float()


# ---- weights by rule

def spread(name, shape, gains):
    """(mean, standard deviation) of a tensor's uniform weights: sizes that keep activations near one."""
    leaf, axes = name.rsplit(".", 1)[-1], sum(d > 1 for d in shape)
    if re.search("scale_shift_table|modulation", name):
        return 0.0, 0.35
    if axes <= 1 and leaf == "bias":
        return 0.0, 0.1
    if axes <= 1:
        return (1.0, 0.25) if leaf == "gamma" or "norm" in name else (0.0, 0.3)
    if re.search(r"relative_attention_bias|shared\.weight|embed_tokens", name):
        return 0.0, 0.8
    gain = next((g for pattern, g in gains if re.search(pattern, name)), 1.0)
    return 0.0, gain / math.sqrt(math.prod(shape[1:]))


def fill(model, seed, gains=(), rename=lambda name: name):
    """Rule-made weights in every parameter; returns the content of weights.json, names after `rename`."""
    tensors, seen = {}, set()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.data_ptr() in seen:
                continue        # tied
            seen.add(p.data_ptr())
            mean, deviation = spread(name, p.shape, gains)
            amp = round(deviation * math.sqrt(3), 9)
            p.copy_(torch.from_numpy(weights_rule.make(rename(name), tuple(p.shape), seed, mean, amp)))
            tensors[rename(name)] = [list(p.shape), mean, amp]
    model.eval().float()
    return dict(rule="splitmix64-u24-v1", seed=seed, tensors=tensors)


# ---- case folders

class Goldens:
    def __init__(self, out, only):
        self.out, self.only = out, re.compile(only)

    def wants(self, name):
        return bool(self.only.search(name))

    def write(self, name, inputs, expected, rule=None, **case):
        folder = os.path.join(self.out, name)
        os.makedirs(folder, exist_ok=True)
        clean = lambda tensors: {k: (v.float() if v.is_floating_point() else v).contiguous().clone() for k, v in tensors.items()}
        save_file(clean(inputs), f"{folder}/inputs.safetensors")
        save_file(clean(expected), f"{folder}/expected.safetensors")
        if rule:
            json.dump(rule, open(f"{folder}/weights.json", "w"), separators=(",", ":"))
        with open(f"{folder}/case.json", "w") as file:
            json.dump(dict(format=1, layout="diffusers") | case | dict(versions=VERSIONS), file, indent=1)
        for k, v in expected.items():
            assert torch.isfinite(v).all() and (v.numel() < 2 or 1e-3 < v.float().std() < 1e3), (name, k)
        print(f"{name:48s} max_rel {case['tolerance']['max_rel']:.1e}  " + ", ".join(f"{k} {list(v.shape)}" for k, v in list(expected.items())[:2]), flush=True)

    def module(self, name, model_name, module, cls, config, seed, call, inputs, gains=(), rename=None, config_class=None, weights=None, layout="diffusers", **case):
        """A case of one module.  `weights` names another case of the same model, whose rule is used; `case` goes into case.json."""
        if not self.wants(name):
            return
        model = cls(config_class(**config)) if config_class else cls(**config)
        rule = fill(model, seed, gains, rename or (lambda n: n))
        with torch.no_grad():
            expected = call(model, inputs)
            exact = in_double(copy.deepcopy(model), call, inputs)
        distance = max(float((expected[k] - exact[k]).abs().max() / exact[k].abs().max()) for k in expected)
        self.write(name, inputs, expected, None if weights else rule, model=model_name, module=module, **{"class": cls.__name__},
                   config=config, seed=seed, layout=layout, weights=f"../{weights}/model.safetensors" if weights else "model.safetensors", weights_rule="weights.json",
                   tolerance=dict(cosine=0.9999, max_rel=float(f"{min(5e-3, max(2e-4, 40 * distance)):.1e}")), f32_vs_f64_max_rel=float(f"{distance:.2e}"), **case)


def in_double(model, call, inputs):
    torch.set_default_dtype(torch.float64)
    try:
        return call(model.double(), {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()})
    finally:
        torch.set_default_dtype(torch.float32)


# ---- transformers

WAN = dict(patch_size=[1, 2, 2], num_attention_heads=2, attention_head_dim=128, in_channels=16, out_channels=16, text_dim=48, freq_dim=256,
           ffn_dim=320, num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads", eps=1e-6, image_dim=None, added_kv_proj_dim=None,
           rope_max_seq_len=1024, pos_embed_seq_len=None)
WAN_GAINS = [(r"time_proj|linear_1\.weight$", 0.7)]
ORIGINAL = [
    ("condition_embedder.time_embedder.linear_", "time_embedding."), ("condition_embedder.text_embedder.linear_", "text_embedding."),
    ("embedding.1", "embedding.0"), ("condition_embedder.time_proj", "time_projection.1"), ("proj_out", "head.head"),
    ("ffn.net.0.proj", "ffn.0"), ("ffn.net.2", "ffn.2"), ("attn1.to_out.0", "self_attn.o"), ("attn2.to_out.0", "cross_attn.o"),
    ("attn1.to_", "self_attn."), ("attn2.to_", "cross_attn."), ("attn1.", "self_attn."), ("attn2.", "cross_attn."), ("norm2", "norm3"),
]


def original_name(name):
    """The name that the original repositories give a text-to-video transformer's tensor."""
    if name == "scale_shift_table":
        return "head.modulation"
    name = name.replace("scale_shift_table", "modulation")
    for diffusers_part, original_part in ORIGINAL:
        name = name.replace(diffusers_part, original_part)
    return name


def transformers_(g):
    call = lambda m, i: {"sample": m(**i, return_dict=False)[0]}
    cls = diffusers.WanTransformer3DModel

    def case(name, model, seed, inputs, layout="diffusers", **config):
        rename = original_name if layout == "wan-original" else None
        g.module(name, model, "transformer", cls, WAN | config, seed, call, inputs, WAN_GAINS, rename, layout=layout)

    r = Randn(1)
    inputs = dict(hidden_states=r(1, 16, 3, 4, 6), timestep=torch.tensor([937.0]), encoder_hidden_states=torch.cat([r(1, 9, 48), torch.zeros(1, 503, 48)], 1))
    case("wan22-t2v-a14b.transformer.t3h4w6", "wan2.2-t2v-a14b", 11, inputs)
    case("wan22-t2v-a14b.transformer.t3h4w6-original-names", "wan2.2-t2v-a14b", 11, inputs, layout="wan-original")
    case("wan22-i2v-a14b.transformer.t2h6w4", "wan2.2-i2v-a14b", 12, dict(
        hidden_states=r(1, 36, 2, 6, 4), timestep=torch.tensor([55.0]), encoder_hidden_states=r(1, 11, 48)), in_channels=36, ffn_dim=128)
    timestep = torch.full((1, 3 * 2 * 3), 731.0)
    timestep[:, :6] = 0        # the tokens of the first frame, an image
    case("wan22-ti2v-5b.transformer.t3h4w6-tokents", "wan2.2-ti2v-5b", 13, dict(
        hidden_states=r(1, 48, 3, 4, 6), timestep=timestep, encoder_hidden_states=r(1, 7, 48)), in_channels=48, out_channels=48, ffn_dim=128)
    case("wan21-i2v-14b.transformer.t2h4w6-img17", "wan2.1-i2v-14b", 14, dict(
        hidden_states=r(1, 36, 2, 4, 6), timestep=torch.tensor([500.0]), encoder_hidden_states=r(1, 512, 48), encoder_hidden_states_image=r(1, 17, 80)),
        in_channels=36, ffn_dim=96, attention_head_dim=48, freq_dim=64, image_dim=80, added_kv_proj_dim=96)


# ---- VAEs

MEAN16 = [-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921]
STD16 = [2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160]
MEAN48 = [round(0.2 * math.sin(3 * k), 4) for k in range(48)]
STD48 = [round(0.8 + 0.4 * math.cos(5 * k), 4) for k in range(48)]
VAE21 = dict(base_dim=8, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[], temperal_downsample=[False, True, True],
             latents_mean=MEAN16, latents_std=STD16, is_residual=False, in_channels=3, out_channels=3, patch_size=None,
             scale_factor_temporal=4, scale_factor_spatial=8)
VAE22 = VAE21 | dict(base_dim=4, decoder_base_dim=8, z_dim=48, latents_mean=MEAN48, latents_std=STD48, is_residual=True,
                     in_channels=12, out_channels=12, patch_size=2, scale_factor_spatial=16)
VAE_GAINS = [(r"decoder\.conv_out", 0.3)]


def vaes(g):
    def encode(m, i):
        posterior = m.encode(i["sample"]).latent_dist
        return {"moments": posterior.parameters, "mean": posterior.mean}

    decode = lambda m, i: {"sample": m.decode(i["z"], return_dict=False)[0]}
    r = Randn(2)
    for tag, model, config, seed, frames, latents in (
            ("wan21-vae", "wan2.1-vae", VAE21, 21, (1, 3, 13, 16, 24), (1, 16, 4, 2, 3)), ("wan22-vae", "wan2.2-vae", VAE22, 22, (1, 3, 9, 32, 48), (1, 48, 3, 1, 2))):
        encoder = f"{tag}.encoder.f{frames[2]}h{frames[3]}w{frames[4]}"
        decoder = f"{tag}.decoder.t{latents[2]}h{latents[3]}w{latents[4]}"
        cls = diffusers.AutoencoderKLWan
        x, z = r.uniform(*frames), r(*latents)
        g.module(encoder, model, "vae_encoder", cls, config, seed, encode, dict(sample=x), VAE_GAINS)
        g.module(decoder, model, "vae_decoder", cls, config, seed, decode, dict(z=z), VAE_GAINS, weights=encoder)

    # Sizes that are no multiples of the stride; a width that one tile holds is cut all the same where the height is not.
    # Loud weights: values beyond white are cut off after blending, not before.
    r = Randn(9)
    for tag, model, config, seed, latents, tile, stride in (
            ("wan21-vae", "wan2.1-vae", VAE21, 23, (1, 16, 3, 4, 3), (24, 24), (16, 8)),
            ("wan22-vae", "wan2.2-vae", VAE22, 24, (1, 48, 2, 2, 3), (32, 32), (16, 16))):
        args = dict(tile_sample_min_height=tile[0], tile_sample_min_width=tile[1], tile_sample_stride_height=stride[0], tile_sample_stride_width=stride[1])

        def decode_tiled(m, i):
            m.enable_tiling(**args)
            return decode(m, i)

        g.module(f"{tag}.decoder.t{latents[2]}h{latents[3]}w{latents[4]}-tiled", model, "vae_decoder", diffusers.AutoencoderKLWan, config, seed, decode_tiled,
                 dict(z=r(*latents)), [(r"decoder\.conv_out", 1.5)], args=args)


# ---- text

def text(g):
    config = dict(vocab_size=384, d_model=64, d_kv=64, d_ff=160, num_layers=3, num_heads=2, relative_attention_num_buckets=32,
                  relative_attention_max_distance=128, dropout_rate=0.0, layer_norm_epsilon=1e-6, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    ids = torch.randint(3, 384, (1, 150), generator=torch.Generator().manual_seed(31))
    mask = (torch.arange(150) < 131).long()[None]
    ids[mask == 0] = 0
    call = lambda m, i: {"last_hidden_state": m(**i).last_hidden_state}
    g.module("umt5.text_encoder.n150-valid131", "umt5-xxl", "text_encoder", transformers.UMT5EncoderModel, config | dict(model_type="umt5"), 31, call,
             dict(input_ids=ids, attention_mask=mask), [(r"SelfAttention\.q\.weight", 0.25)],
             config_class=lambda model_type, **c: transformers.UMT5Config(**c))


# ---- samplers

def samplers(g, wan22):
    flow = dict(prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000)
    unipc = flow | dict(solver_order=2, predict_x0=True, solver_type="bh2", lower_order_final=True, final_sigmas_type="zero")
    dpm = flow | dict(solver_order=2, algorithm_type="dpmsolver++", solver_type="midpoint", lower_order_final=True, final_sigmas_type="zero")
    UniPC, Euler, DPM = diffusers.UniPCMultistepScheduler, diffusers.FlowMatchEulerDiscreteScheduler, diffusers.DPMSolverMultistepScheduler

    def case(name, cls, config, steps, seed, call_config=None, **grid):
        if not g.wants(name):
            return
        r, scheduler = Randn(100 + seed), cls(**config)
        scheduler.set_timesteps(**(grid if "sigmas" in grid else dict(num_inference_steps=steps) | grid))
        x = r(1, 4, 2, 3, 5)
        inputs, expected = dict(sample=x), dict(timesteps=torch.as_tensor(scheduler.timesteps).float(), sigmas=torch.as_tensor(scheduler.sigmas).float())
        for i, t in enumerate(scheduler.timesteps):
            inputs[f"model_output.{i}"] = v = r(1, 4, 2, 3, 5)
            x = expected[f"sample.{i + 1}"] = scheduler.step(v, t, x, return_dict=False)[0]
        plain = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in grid.items()}
        g.write(name, inputs, expected, model="wan", module="sampler", **{"class": cls.__name__}, config=config, seed=100 + seed,
                args=dict(num_inference_steps=steps, set_timesteps=plain, note="sample.{i+1} = step(model_output.{i}, timesteps[i], sample.{i})"),
                tolerance=dict(cosine=0.99999, max_rel=2e-4))

    case("unipc-flow.sampler.shift3-n7", UniPC, unipc | dict(flow_shift=3.0), 7, 1)
    case("unipc-flow.sampler.order3-n6", UniPC, unipc | dict(flow_shift=5.0, solver_order=3), 6, 2)
    case("unipc-flow.sampler.shift8-n1", UniPC, unipc | dict(flow_shift=8.0), 1, 3)
    case("flowmatch-euler.sampler.shift7-n5", Euler, dict(shift=7.0), 5, 4)
    case("flowmatch-euler.sampler.dynamic-terminal-n6", Euler, dict(use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024,
         max_image_seq_len=4096, shift_terminal=0.1), 6, 5, sigmas=np.linspace(1.0, 1 / 6, 6), mu=0.884765625)
    case("flowmatch-euler.sampler.inverted-n5", Euler, dict(invert_sigmas=True), 5, 6, sigmas=np.array([1.0, 0.975, 0.9, 0.6, 0.25]).tolist())
    case("dpmpp-flow.sampler.shift5-n7", DPM, dpm | dict(flow_shift=5.0), 7, 7)
    case("dpmpp-flow.sampler.shift3-n2", DPM, dpm | dict(flow_shift=3.0), 2, 8)
    case("dpmpp-flow.sampler.shift3-n20", DPM, dpm | dict(flow_shift=3.0), 20, 9)
    if wan22:
        from original import load
        modules = load(wan22, "wan/utils/fm_solvers.py", "wan/utils/fm_solvers_unipc.py")
        OriginalDPM = modules["fm_solvers"].FlowDPMSolverMultistepScheduler
        OriginalUniPC = modules["fm_solvers_unipc"].FlowUniPCMultistepScheduler
        plain = dict(num_train_timesteps=1000, shift=1, use_dynamic_shifting=False)
        for shift, n in ((12.0, 6), (5.0, 40)):
            case(f"flow-solvers-original.sampler.unipc-shift{shift:g}-n{n}", OriginalUniPC, plain, n, 10, shift=shift)
            # The original's dpm++ option passes these sigmas; the class then shifts by its own shift of 1.
            sigmas = modules["fm_solvers"].get_sampling_sigmas(n, shift)
            case(f"flow-solvers-original.sampler.dpmpp-shift{shift:g}-n{n}", OriginalDPM, plain, n, 11, sigmas=sigmas)


# ---- pipelines

def halve(folder):
    """Store a folder's f32 weights as bf16, which they are exact in."""
    for base, _, files in os.walk(folder):
        for file in files:
            if file.endswith(".safetensors"):
                tensors = load_file(os.path.join(base, file))
                small = {k: v.bfloat16() for k, v in tensors.items()}
                assert all(torch.equal(small[k].float(), tensors[k]) for k in small)
                save_file(small, os.path.join(base, file), metadata={"format": "pt"})


def pipelines(g, spiece):
    if not g.wants("wan22.pipeline"):
        return
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=converted(spiece, False), pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512)
    encoder = transformers.UMT5EncoderModel(transformers.UMT5Config(vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2,
                                            feed_forward_proj="gated-gelu", dropout_rate=0.0, tie_word_embeddings=False))
    fill(encoder, 91, [(r"SelfAttention\.q\.weight", 0.35)])

    def part(cls, config, seed, gains):
        model = cls(**config)
        fill(model, seed, gains)
        return model

    wan = lambda seed, **c: part(diffusers.WanTransformer3DModel, WAN | dict(attention_head_dim=24, text_dim=32, ffn_dim=96, freq_dim=32) | c, seed, WAN_GAINS)
    vae21 = part(diffusers.AutoencoderKLWan, VAE21 | dict(base_dim=4, num_res_blocks=1), 92, VAE_GAINS)
    vae22 = part(diffusers.AutoencoderKLWan, VAE22 | dict(base_dim=4, decoder_base_dim=6, num_res_blocks=1), 96, VAE_GAINS)
    r = Randn(8)
    common = dict(prompt="a red circle moves left on a white background", negative_prompt="blurry, low quality, static", max_sequence_length=32)
    folders = {}

    def case(name, model, cls, shape, args, image=None, shift=3.0, **parts):
        pipe = cls(tokenizer=tokenizer, text_encoder=encoder, scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=shift), **parts)
        pipe.set_progress_bar_config(disable=True)
        owner = folders.setdefault(id(parts["transformer"]), name)
        if owner == name:
            pipe.save_pretrained(os.path.join(g.out, name))
            halve(os.path.join(g.out, name))
        run_pipeline(g, name, model, pipe, r(*shape), common | args, "." if owner == name else f"../{owner}", image)

    high, low, five = wan(93), wan(94), wan(95, in_channels=48, out_channels=48)
    case("wan22-t2v-a14b.pipeline.h32w48f9s4", "wan2.2-t2v-a14b", diffusers.WanPipeline, (1, 16, 3, 4, 6),
         dict(height=32, width=48, num_frames=9, num_inference_steps=4, guidance_scale=4.0, guidance_scale_2=3.0), vae=vae21, transformer=high, transformer_2=low, boundary_ratio=0.875)
    size = dict(height=64, width=64, num_frames=5, num_inference_steps=3, guidance_scale=5.0)
    case("wan22-ti2v-5b.pipeline.h64w64f5s3", "wan2.2-ti2v-5b", diffusers.WanPipeline, (1, 48, 2, 4, 4), size, shift=5.0, vae=vae22, transformer=five, expand_timesteps=True)
    image = r.uniform(1, 3, 64, 64) / 2 + 0.5
    case("wan22-ti2v-5b-i2v.pipeline.h64w64f5s3", "wan2.2-ti2v-5b", diffusers.WanImageToVideoPipeline, (1, 48, 2, 4, 4), size, image, shift=5.0,
         vae=vae22, image_processor=None, image_encoder=None, transformer=five, expand_timesteps=True)


def run_pipeline(g, name, model, pipe, latents, args, weights, image=None, tolerance=2e-3):
    """Run a diffusers pipeline from given noise and write its case: text rows, latents after each step, frames."""
    steps = {}

    def keep(_, i, t, state):
        steps[f"latents.{i + 1}"] = state["latents"].clone()
        return {}

    more = dict(image=image) if image is not None else {}
    frames = pipe(latents=latents.clone(), output_type="pt", callback_on_step_end=keep, **args, **more).frames
    length = args["max_sequence_length"]
    positive, negative = pipe.encode_prompt(prompt=args["prompt"], negative_prompt=args["negative_prompt"], do_classifier_free_guidance=True, max_sequence_length=length)
    inputs = dict(latents=latents, **more)
    for k in ("prompt", "negative_prompt"):
        t = pipe.tokenizer(args[k], padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        inputs[f"{k}_input_ids"], inputs[f"{k}_attention_mask"] = t.input_ids, t.attention_mask
    expected = dict(prompt_embeds=positive, negative_prompt_embeds=negative, timesteps=pipe.scheduler.timesteps.float(), sigmas=pipe.scheduler.sigmas.float(), **steps, frames=frames.float())
    g.write(name, inputs, expected, model=model, module="pipeline", **{"class": type(pipe).__name__}, weights=weights, args=args, tolerance=dict(cosine=0.9999, max_rel=tolerance), note=NEGATIVE_NOTE,
            config=dict(boundary_ratio=pipe.config.boundary_ratio, expand_timesteps=pipe.config.expand_timesteps))


def demo(g, folder):
    """The model in the box for four steps, from noise that `torch.manual_seed(1)` gives."""
    if not g.wants("demo.pipeline.s4"):
        return
    pipe = diffusers.WanPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    latents = torch.randn(1, 8, 5, 8, 8, generator=torch.Generator().manual_seed(1))
    args = dict(prompt="a red circle moves left on a blue background", negative_prompt="", max_sequence_length=12, height=64, width=64, num_frames=17,
                num_inference_steps=4, guidance_scale=2.0, guidance_scale_2=2.0)
    run_pipeline(g, "demo.pipeline.s4", "kinora-demo", pipe, latents, args, "../../../assets/demo-model")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("--only", default="")
    p.add_argument("--wan22", metavar="GIT")
    a = p.parse_args()
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    g = Goldens(a.out, a.only)
    transformers_(g)
    vaes(g)
    text(g)
    samplers(g, a.wan22)
    pipelines(g, f"{root}/tests/fixtures/tokenizer/spiece.model")
    demo(g, f"{root}/assets/demo-model")
    total = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(a.out) for f in files)
    print(f"{total / 1e6:.2f} MB")
