#!/usr/bin/env python3
"""Put the model in the box together: an ordinary diffusers folder of Wan's classes, in f16.

    python package.py TRAINED OUT     TRAINED has text_encoder/, vae/, transformer/, transformer_2/

Adds the tokenizer, the scheduler, the index and `kinora.json` (Kinora's defaults for this model).
"""
import json
import os
import shutil
import sys

from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import clips

PARTS = dict(text_encoder="model", vae="diffusion_pytorch_model",
             transformer="diffusion_pytorch_model", transformer_2="diffusion_pytorch_model")
INDEX = {
    "_class_name": "WanPipeline", "_diffusers_version": "0.42.1", "boundary_ratio": 0.875, "expand_timesteps": False,
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "transformer_2": ["diffusers", "WanTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLWan"],
}
SCHEDULER = {
    "_class_name": "UniPCMultistepScheduler", "_diffusers_version": "0.42.1", "num_train_timesteps": 1000,
    "prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0, "solver_order": 2,
    "solver_type": "bh2", "predict_x0": True, "lower_order_final": True, "final_sigmas_type": "zero",
}
DEFAULTS = {
    "name": "the model in the box", "steps": 16, "guidance": 3.0, "guidance_2": 3.0, "shift": 3.0, "width": clips.SIZE, "height": clips.SIZE,
    "frames": clips.FRAMES, "fps": 8, "boundary": 0.875, "text_length": clips.TEXT_LENGTH, "negative_prompt": "",
}


def tokenizer():
    """Words in lower case between spaces and punctuation (which is dropped), `</s>` at the end."""
    t = Tokenizer(models.WordLevel({w: i for i, w in enumerate(clips.WORDS)}, unk_token="<unk>"))
    t.normalizer = normalizers.Lowercase()
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(behavior="removed")])
    t.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    t.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return t


def write_json(value, *path):
    with open(os.path.join(*path), "w") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def main(trained, out):
    for part, stem in PARTS.items():
        os.makedirs(os.path.join(out, part), exist_ok=True)
        weights = load_file(os.path.join(trained, part, stem + ".safetensors"))
        save_file({k: v.half().contiguous() for k, v in weights.items()},
                  os.path.join(out, part, stem + ".safetensors"), metadata={"format": "pt"})
        config = json.load(open(os.path.join(trained, part, "config.json")))
        config.pop("_name_or_path", None)
        if "dtype" in config:
            config["dtype"] = "float16"
        write_json(config, out, part, "config.json")

    for folder in ("tokenizer", "scheduler"):
        os.makedirs(os.path.join(out, folder), exist_ok=True)
    t = tokenizer()
    t.save(os.path.join(out, "tokenizer", "tokenizer.json"))
    write_json({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": clips.TEXT_LENGTH,
                "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}, out, "tokenizer", "tokenizer_config.json")
    write_json(SCHEDULER, out, "scheduler", "scheduler_config.json")
    write_json(INDEX, out, "model_index.json")
    write_json(DEFAULTS, out, "kinora.json")
    shutil.copy(os.path.join(os.path.dirname(__file__), "MODEL.md"), os.path.join(out, "README.md"))

    for i, word in enumerate(clips.WORDS):
        assert t.token_to_id(word) == i, word
    for text in ("", "a red circle moves left on a blue background", "Yellow BALL flies up on black",
                 "a purple square moves down on a white background"):
        ids, mask = clips.tokens(text)
        assert t.encode(text).ids == ids[:sum(mask)], text
    assert t.encode("a red ball, moving left!").ids == clips.tokens("a red ball moving left")[0][:6]
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(out) for f in files)
    print(f"{out}: {size:,} bytes")
    assert size < 10e6


if __name__ == "__main__":
    main(*sys.argv[1:3])
