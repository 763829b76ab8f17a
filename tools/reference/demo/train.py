#!/usr/bin/env python3
"""Train the model in the box on procedural clips, on a CPU.

    python train.py vae WORK --seconds 900 [--init MODEL]       the VAE, then the latents of a pool of clips
    python train.py latents WORK                                the latents again, for a VAE that is there
    python train.py shared WORK --seconds 2400 [--init MODEL]   one transformer for all noise levels, and the text encoder
    python train.py experts WORK --seconds 600                  fork it: high noise (t >= 875) and low noise

WORK collects the parts in diffusers' folders, `latents.pt` and `log.json`.  Every stage saves once a minute and
anneals its learning rate to the end of its time.  --init starts from the weights of another model folder.
"""
import argparse
import copy
import json
import math
import os
import random
import time

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.models.autoencoders import autoencoder_kl_wan as wan_vae
from transformers import UMT5Config, UMT5EncoderModel

import clips
from model import encode_prompts, latent_statistics

BATCH = 10                  # triples of clips a transformer step
CONTRAST = 6.0              # weight of the differences within a triple
DROPPED = 0.1               # of the prompts, for guidance
STRANGE = 0.1               # of the prompts hold a word that the model does not know
HIGH_SHARE = 0.35           # of the steps train the expert for high noise
LATENT_NOISE = 0.6          # up to this many standard deviations of noise reach the decoder
POOL = dict(vae=1200, triples=600)

VAE = dict(base_dim=16, decoder_base_dim=16, z_dim=8, dim_mult=[1, 2, 2], num_res_blocks=1, temperal_downsample=[True, True],
           is_residual=True, in_channels=12, out_channels=12, patch_size=2, scale_factor_spatial=8,
           latents_mean=[0.0] * 8, latents_std=[1.0] * 8)
TRANSFORMER = dict(patch_size=(1, 2, 2), num_attention_heads=4, attention_head_dim=32, in_channels=8, out_channels=8,
                   text_dim=64, freq_dim=64, ffn_dim=384, num_layers=8, rope_max_seq_len=64)
TEXT = dict(vocab_size=len(clips.WORDS), d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4,
            dropout_rate=0.0, feed_forward_proj="gated-gelu")


# ---- the VAE in one pass over the whole sequence, which can be differentiated; equal to the chunked one

chunked_resample = wan_vae.WanResample.forward


def resample(self, x, feat_cache=None, feat_idx=[0]):
    """WanResample for a whole sequence: the first frame passes alone, the others go through the time convolution."""
    if feat_cache is not None:
        return chunked_resample(self, x, feat_cache, feat_idx)
    b, c, t, h, w = x.shape
    if self.mode == "upsample3d" and t > 1:
        y = self.time_conv(x[:, :, 1:]).reshape(b, 2, c, t - 1, h, w).permute(0, 2, 3, 1, 4, 5)
        x = torch.cat([x[:, :, :1], y.reshape(b, c, 2 * (t - 1), h, w)], 2)
    t = x.shape[2]
    y = self.resample(x.transpose(1, 2).reshape(b * t, c, h, w))
    x = y.view(b, t, *y.shape[1:]).transpose(1, 2)
    if self.mode == "downsample3d" and t > 1:
        x = torch.cat([x[:, :, :1], self.time_conv(x)], 2)
    return x


wan_vae.WanResample.forward = resample


def encode(vae, x):
    """Posterior mean and log variance."""
    return vae.quant_conv(vae.encoder(wan_vae.patchify(x, 2))).chunk(2, 1)


def decode(vae, z):
    return wan_vae.unpatchify(vae.decoder(vae.post_quant_conv(z), first_chunk=True), 2)


@torch.no_grad()
def check_whole_sequence(vae):
    x, z = torch.rand(1, 3, 9, 32, 32) * 2 - 1, torch.randn(1, 8, 3, 4, 4)
    assert torch.allclose(vae.encode(x).latent_dist.mean, encode(vae, x)[0], atol=1e-4)
    assert torch.allclose(vae.decode(z).sample, decode(vae, z).clamp(-1, 1), atol=1e-4)


# ---- the training loop

class Loop:
    """Steps until the time is over; learning rate warmed up, then a cosine of the elapsed time."""

    def __init__(self, name, parameters, seconds, rate, save, **adam):
        self.name, self.seconds, self.rate, self.save = name, seconds, rate, save
        self.parameters = list(parameters)
        self.optimiser = torch.optim.AdamW(self.parameters, rate, **adam)
        self.losses, self.start = [], time.time()

    def run(self, step):
        saved = said = time.time()
        while (elapsed := time.time() - self.start) < self.seconds:
            warm = min(1, (len(self.losses) + 1) / 40)
            cosine = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * elapsed / self.seconds))
            for group in self.optimiser.param_groups:
                group["lr"] = self.rate * warm * cosine
            loss = step()
            self.optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimiser.step()
            self.losses.append(float(loss))
            if self.after_step:
                self.after_step(len(self.losses))
            if time.time() - said > 20:
                recent = self.losses[-25:]
                print(f"{self.name} {len(self.losses)} {elapsed:.0f}s loss {sum(recent) / len(recent):.4f}", flush=True)
                said = time.time()
            if time.time() - saved > 60:
                self.save()
                saved = time.time()
        self.save()
        k = len(self.losses)
        return dict(steps=k, seconds=round(time.time() - self.start),
                    loss=[round(sum(self.losses[i:i + 50]) / len(self.losses[i:i + 50]), 4) for i in range(0, k, 50)])

    after_step = None


def note(work, **entries):
    path = f"{work}/log.json"
    log = json.load(open(path)) if os.path.exists(path) else {}
    log.update(entries)
    json.dump(log, open(path, "w"), indent=1)


def as_bytes(clip):
    return ((clip + 1) * 127.5).round().byte()


def pool_of_clips(n, rng):
    """Clips as bytes."""
    return [as_bytes(clips.render(clips.random_attributes(rng), rng)) for _ in range(n)]


def pool_of_triples(n, rng):
    """(colour, direction, background) and three clips each, alike but for the shape."""
    for _ in range(n):
        (colour, _, direction, background), geometry = clips.random_attributes(rng), rng.random()
        yield (colour, direction, background), torch.stack(
            [as_bytes(clips.render((colour, shape, direction, background), random.Random(geometry))) for shape in clips.SHAPES])


def as_float(pixels):
    return pixels.float() / 127.5 - 1


# ---- stages

def train_vae(args):
    rng = random.Random(args.seed)
    vae = AutoencoderKLWan.from_pretrained(args.init, subfolder="vae", torch_dtype=torch.float32) if args.init else AutoencoderKLWan(**VAE)
    check_whole_sequence(vae)
    pool = pool_of_clips(POOL["vae"], rng)

    def crop(n=3, frames=9, size=48):
        out = []
        for _ in range(n):
            t, i, j = 4 * rng.randrange(3), 8 * rng.randrange(3), 8 * rng.randrange(3)
            out.append(as_float(rng.choice(pool)[:, t:t + frames, i:i + size, j:j + size]))
        return torch.stack(out)

    def step():
        x = crop()
        mean, log_variance = encode(vae, x)
        # The decoder learns to bear errors of the transformer, the encoder to make small details loud.
        spread = mean.detach().std((0, 2, 3, 4), keepdim=True)
        level = LATENT_NOISE * torch.rand(len(x), 1, 1, 1, 1)
        y = decode(vae, mean + level * spread * torch.randn_like(mean))
        # The object counts more than the background, its edges most.
        object_ = ((x - x[:, :, :1, :1, :1]).abs().sum(1) > 0.2).float()
        frames = x.transpose(1, 2).flatten(0, 1)
        edge = (F.max_pool2d(frames, 3, 1, 1) + F.max_pool2d(-frames, 3, 1, 1)).amax(1).view_as(object_) > 0.3
        weight = (1 + object_ + 3 * edge)[:, None]
        error = y - x
        reconstruction = ((error.abs() + error ** 2) * weight).mean() / weight.mean()
        kl = 0.5 * (mean ** 2 + log_variance.exp() - 1 - log_variance).mean()
        return reconstruction + 1e-4 * kl

    save = lambda: vae.save_pretrained(f"{args.work}/vae")
    loop = Loop("vae", vae.parameters(), args.seconds, 1e-3, save, betas=(.9, .95), weight_decay=0)
    note(args.work, vae=loop.run(step))
    make_latents(args, vae.eval(), rng)


@torch.no_grad()
def make_latents(args, vae, rng, keep_statistics=False):
    attributes, pool = zip(*pool_of_triples(POOL["triples"], rng))
    means = torch.stack([encode(vae, as_float(triple))[0] for triple in pool])
    if not keep_statistics:
        vae.register_to_config(latents_mean=means.mean((0, 1, 3, 4, 5)).tolist(), latents_std=means.std((0, 1, 3, 4, 5)).tolist())
        vae.save_pretrained(f"{args.work}/vae")
    mean, std = latent_statistics(vae)
    torch.save(dict(latents=(means - mean) / std, attributes=attributes), f"{args.work}/latents.pt")
    truth = as_float(torch.cat(pool[:5]))
    decoded = torch.cat([vae.decode(z).sample for z in means[:5]])
    psnr = float(10 * torch.log10(4 / F.mse_loss(decoded, truth)))
    note(args.work, psnr=psnr)
    clips.sheet([c for pair in zip(truth[:6], decoded) for c in pair], f"{args.work}/vae.png")
    print("PSNR", psnr, flush=True)


def train_latents(args):
    vae = AutoencoderKLWan.from_pretrained(args.work, subfolder="vae", torch_dtype=torch.float32).eval()
    make_latents(args, vae, random.Random(args.seed), keep_statistics=True)


class Batches:
    """Noisy latents, prompts and targets, drawn from the pool by triples.

    The clips of a triple share noise, noise level and wording, so that what they differ by is the shape alone.
    """

    def __init__(self, args):
        pool = torch.load(f"{args.work}/latents.pt")
        self.latents, self.attributes = pool["latents"], pool["attributes"]
        self.rng = random.Random(args.seed)

    def prompts(self, colour, direction, background):
        """The same wording for each shape."""
        if self.rng.random() < DROPPED:
            return [""] * 3
        seed, strange, place = self.rng.random(), self.rng.random() < STRANGE, self.rng.randrange(6)
        out = []
        for shape in clips.SHAPES:
            words = clips.random_prompt((colour, shape, direction, background), random.Random(seed)).split()
            out.append(" ".join(words[:place] + ["<unk>"] * strange + words[place:]))
        return out

    def draw(self, low=0.0, high=1.0):
        """Noise levels as with flow shift 3, or in a part of the range, its upper end first: there the shape is decided."""
        chosen = self.rng.choices(range(len(self.latents)), k=BATCH)
        prompts = [p for i in chosen for p in self.prompts(*self.attributes[i])]
        x, u = self.latents[chosen], torch.rand(BATCH, 1)
        sigma = (3 * u / (1 + 2 * u) if (low, high) == (0.0, 1.0) else low + (high - low) * u ** 0.6).expand(BATCH, 3)
        noise, s = torch.randn_like(x[:, :1]).expand_as(x), sigma[..., None, None, None, None]
        return ((1 - s) * x + s * noise).flatten(0, 1), 1000 * sigma.flatten(), prompts, (noise - x).flatten(0, 1)


def velocity_loss(found, target):
    """Squared error, plus that of the differences between the clips of each triple (which the noise cannot blur)."""
    error = (found - target).unflatten(0, (-1, 3))
    contrast = error - error.mean(1, keepdim=True)
    return (error ** 2).mean() + CONTRAST * (contrast ** 2).mean()


class Average:
    """Exponential moving average of a module's weights."""

    def __init__(self, *modules):
        self.modules, self.copies = modules, [copy.deepcopy(m) for m in modules]

    @torch.no_grad()
    def update(self, k):
        rate = 1 - min(0.998, k / (k + 10))
        for module, mean in zip(self.modules, self.copies):
            torch._foreach_lerp_(list(mean.parameters()), list(module.parameters()), rate)


def train_shared(args):
    if args.init:
        text = UMT5EncoderModel.from_pretrained(args.init, subfolder="text_encoder", torch_dtype=torch.float32)
        net = WanTransformer3DModel.from_pretrained(args.init, subfolder="transformer_2", torch_dtype=torch.float32)
    else:
        text, net = UMT5EncoderModel(UMT5Config(**TEXT)), WanTransformer3DModel(**TRANSFORMER)
        torch.nn.init.zeros_(net.proj_out.weight)
    batches, average = Batches(args), Average(net.train(), text.eval())
    fast = torch.compile(net) if args.compile else net

    def step():
        x, t, prompts, target = batches.draw()
        return velocity_loss(fast(x, t, encode_prompts(text, prompts), return_dict=False)[0], target)

    def save():
        for part, module in zip(("transformer", "text_encoder"), average.copies):
            module.save_pretrained(f"{args.work}/{part}")
        average.copies[0].save_pretrained(f"{args.work}/transformer_2")

    loop = Loop("shared", [*net.parameters(), *text.parameters()], args.seconds, args.rate, save, betas=(.9, .98), weight_decay=0.01)
    loop.after_step = average.update
    note(args.work, shared=loop.run(step))


def train_experts(args):
    """Both experts and the text encoder that they share, one expert a step."""
    load = lambda cls, part: cls.from_pretrained(args.work, subfolder=part, torch_dtype=torch.float32)
    text = load(UMT5EncoderModel, "text_encoder").eval()
    high, low = (load(WanTransformer3DModel, part).train() for part in ("transformer", "transformer_2"))
    batches, average = Batches(args), Average(high, low, text)
    fast = {net: torch.compile(net) if args.compile else net for net in (high, low)}

    def step():
        net, levels = (high, (0.875, 1.0)) if batches.rng.random() < HIGH_SHARE else (low, (0.0, 0.875))
        x, t, prompts, target = batches.draw(*levels)
        return velocity_loss(fast[net](x, t, encode_prompts(text, prompts), return_dict=False)[0], target)

    def save():
        for part, module in zip(("transformer", "transformer_2", "text_encoder"), average.copies):
            module.save_pretrained(f"{args.work}/{part}")

    parameters = [*high.parameters(), *low.parameters(), *text.parameters()]
    loop = Loop("experts", parameters, args.seconds, args.rate, save, betas=(.9, .98), weight_decay=0.01)
    loop.after_step = average.update
    note(args.work, experts=loop.run(step))


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("stage", choices=["vae", "latents", "shared", "experts"])
    p.add_argument("work")
    p.add_argument("--seconds", type=float)
    p.add_argument("--init")
    p.add_argument("--rate", type=float, default=1.5e-3, help="learning rate of the shared transformer")
    p.add_argument("--compile", action="store_true", help="torch.compile the transformer")
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    os.makedirs(args.work, exist_ok=True)
    torch.set_num_threads(2)
    torch.manual_seed(args.seed)
    dict(vae=train_vae, latents=train_latents, shared=train_shared, experts=train_experts)[args.stage](args)
