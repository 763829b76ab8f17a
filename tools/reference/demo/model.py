"""Load the model in the box and render prompts with it, through diffusers' own classes."""
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from transformers import UMT5EncoderModel

import clips

LATENT = (8, 5, 8, 8)


def encode_prompts(text_encoder, prompts):
    """Text rows [B, 12, 64], zero past each prompt's end."""
    ids, mask = (torch.tensor(v) for v in zip(*map(clips.tokens, prompts)))
    return text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]


def latent_statistics(vae):
    """(mean, std), each [8, 1, 1, 1]."""
    return [torch.tensor(v)[:, None, None, None] for v in (vae.config.latents_mean, vae.config.latents_std)]


class Model:
    def __init__(self, folder, dtype=torch.float32):
        load = lambda cls, part: cls.from_pretrained(folder, subfolder=part, torch_dtype=dtype).eval()
        self.text_encoder = load(UMT5EncoderModel, "text_encoder")
        self.vae = load(AutoencoderKLWan, "vae")
        self.high = load(WanTransformer3DModel, "transformer")
        self.low = load(WanTransformer3DModel, "transformer_2")

    @torch.no_grad()
    def sample(self, prompts, steps=20, guidance=2.0, seed=0, shift=3.0, boundary=875):
        """Normalised latents [B, 8, 5, 8, 8]."""
        scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
        scheduler.set_timesteps(steps)
        n = len(prompts)
        text = torch.cat([encode_prompts(self.text_encoder, p) for p in (prompts, [""] * n)])
        x = torch.randn(n, *LATENT, generator=torch.Generator().manual_seed(seed))
        for t in scheduler.timesteps:
            expert = self.high if t >= boundary else self.low
            positive, negative = expert(torch.cat([x, x]), t.expand(2 * n).float(), text, return_dict=False)[0].chunk(2)
            x = scheduler.step(negative + guidance * (positive - negative), t, x, return_dict=False)[0]
        return x

    @torch.no_grad()
    def decode(self, latents):
        """Clips [B, 3, 17, 64, 64] in -1..1."""
        mean, std = latent_statistics(self.vae)
        return self.vae.decode(latents * std + mean).sample

    def render(self, prompts, **settings):
        return self.decode(self.sample(prompts, **settings))
