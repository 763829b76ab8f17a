#!/usr/bin/env python3
"""Small files of quantised weights, as others write them.

    python make_weight_files.py QUANT_DATA TOKENIZER     (quant/tests/data and tests/fixtures/tokenizer)

Needs gguf, sentencepiece, safetensors and comfy-kitchen (pure torch: its eager backend) beside torch.

QUANT_DATA/types.gguf             every block type with random bytes, plain types, five dimensions, values of all kinds
QUANT_DATA/listed.gguf            types that kinora-quant does not read
QUANT_DATA/records.safetensors    a layer of each format of comfy-kitchen, random values
QUANT_DATA/records.expected.safetensors
                                  X.records: rows as kinora-quant hands them out, put together here; X.values: dequantised
TOKENIZER/spiece.gguf             spiece.model as llama.cpp's converter takes it apart
"""
import json
import sys

import gguf
import numpy as np
import torch
from comfy_kitchen.backends.eager import quantization as q
from comfy_kitchen.float_utils import from_blocked
from gguf import GGMLQuantizationType as Q
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2 as spm

BLOCKS = [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.IQ4_NL, Q.IQ4_XS]
LISTED = [Q.IQ2_XXS, Q.TQ1_0]


def types(path, listed):
    rng = np.random.default_rng(3)
    w = gguf.GGUFWriter(path, "wan")
    w.add_array("kinora.array.of.floats", [1.5, -2.0])
    w.add_array("kinora.array.of.texts", ["one", "", "drei"])
    w.add_bool("kinora.bool", True)
    w.add_float32("kinora.float", 0.25)
    w.add_float64("kinora.float64", 1e300)
    w.add_int16("kinora.int16", -3)
    w.add_int64("kinora.int64", -(1 << 40))
    w.add_int8("kinora.int8", -1)
    w.add_string("kinora.text", "naïve ☂")
    w.add_uint16("kinora.uint16", 65535)
    w.add_uint64("kinora.uint64", (1 << 64) - 1)
    w.add_uint8("kinora.uint8", 255)
    tensors = {"conv.f32": (rng.standard_normal((3, 2, 1, 2, 2)).astype(np.float32), None),
               "half.f16": (rng.standard_normal((2, 3)).astype(np.float16), None),
               "ids.i32": (np.arange(5, dtype=np.int32), None),
               "brain.bf16": (rng.integers(0, 256, (2, 6), dtype=np.uint8), Q.BF16)}
    write(w, tensors | blocks(rng, BLOCKS))
    w = gguf.GGUFWriter(listed, "pig")
    write(w, blocks(rng, LISTED))


def blocks(rng, kinds):
    sizes = {kind: gguf.GGML_QUANT_SIZES[kind][1] for kind in kinds}
    return {f"block.{kind.name.lower()}": (rng.integers(0, 256, (3, 2 * size), dtype=np.uint8), kind) for kind, size in sizes.items()}


def write(w, tensors):
    for name, (data, kind) in sorted(tensors.items()):
        w.add_tensor(name, data, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def tokenizer(model_path, path):
    model = spm.ModelProto.FromString(open(model_path, "rb").read())
    w = gguf.GGUFWriter(path, "t5encoder")
    w.add_tokenizer_model("t5")
    w.add_token_list([p.piece.encode() for p in model.pieces])
    w.add_token_scores([p.score for p in model.pieces])
    w.add_token_types([p.type for p in model.pieces])
    w.add_add_space_prefix(model.normalizer_spec.add_dummy_prefix)
    w.add_remove_extra_whitespaces(model.normalizer_spec.remove_extra_whitespaces)
    w.add_precompiled_charsmap(model.normalizer_spec.precompiled_charsmap)
    w.add_eos_token_id(model.trainer_spec.eos_id)
    w.add_pad_token_id(model.trainer_spec.pad_id)
    w.add_unk_token_id(model.trainer_spec.unk_id)
    write(w, {"token_embd.weight": (np.zeros((4, 2), np.float32), None)})


def rows(*parts):
    """Parts of [N, bytes] side by side, padded to four bytes."""
    rows = torch.cat([p.contiguous().view(torch.uint8).reshape(p.shape[0], -1) for p in parts], 1)
    return torch.nn.functional.pad(rows, (0, -rows.shape[1] % 4))


def records(path, expected_path):
    torch.manual_seed(5)
    out, expected = {}, {}

    def layer(name, conf, weight, records, values, **scales):
        out[f"{name}.weight"] = weight.contiguous()
        for k, v in scales.items():
            out[f"{name}.{k}"] = v.contiguous()
        if conf:
            out[f"{name}.comfy_quant"] = torch.tensor(list(json.dumps(conf).encode()), dtype=torch.uint8)
        expected[f"{name}.records"], expected[f"{name}.values"] = records.contiguous(), values.float().contiguous()

    for name, kind, conf in [("e4m3", torch.float8_e4m3fn, "float8_e4m3fn"), ("e5m2", torch.float8_e5m2, "float8_e5m2"), ("old", torch.float8_e4m3fn, None)]:
        x = torch.randn(5, 7)
        s = x.abs().max() / torch.finfo(kind).max
        w = q.quantize_per_tensor_fp8(x, s, kind)
        values = q.dequantize_per_tensor_fp8(w, s, torch.float32)
        layer(name, conf and {"format": conf}, w, rows(w, s.expand(5, 1)), values, **{"weight_scale" if conf else "scale_weight": s,
                                                                                        "input_scale" if conf else "scale_input": torch.tensor(0.5)})
    x = torch.randn(150, 96) * torch.logspace(-4, 4, 150)[:, None]
    w, s = q.quantize_mxfp8(x, pad_32x=True)
    s = s.view(torch.uint8)
    layer("mxfp8", {"format": "mxfp8"}, w, rows(w, from_blocked(s, 160, 3))[:150], q.dequantize_mxfp8(w, s, torch.float32)[:150],
          weight_scale=s, bias=torch.zeros(150))
    x = torch.randn(150, 80) * torch.logspace(-1, 1, 150)[:, None]
    s2 = x.abs().max() / (448 * 6)
    w, s = q.quantize_nvfp4(x, s2, pad_16x=True)
    layer("nvfp4", {"format": "nvfp4"}, w, rows(w, from_blocked(s.view(torch.uint8), 160, 5), s2.expand(160, 1))[:150],
          q.dequantize_nvfp4(w, s2, s, torch.float32)[:150], weight_scale=s, weight_scale_2=s2, bias=torch.zeros(150), pre_quant_scale=torch.ones(80))
    x = torch.randn(6, 9)
    w, s = q.quantize_int8_tensorwise(x)
    layer("int8", {"format": "int8_tensorwise"}, w, rows(w, s.expand(6, 1)), w.float() * s, weight_scale=s)
    w, s = q.quantize_int8_rowwise(x)
    layer("int8_rows", {"format": "int8_tensorwise"}, w, rows(w, s.reshape(6, 1)), w.float() * s.reshape(6, 1), weight_scale=s.reshape(6, 1))
    for group in [16, 64, 256]:
        w, s = q.quantize_int8_convrot_weight(torch.randn(3, 2 * group), group)
        conf = {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": group}
        layer(f"convrot_{group}", conf, w, rows(w, s.reshape(3, 1)), q.dequantize_int8_convrot_weight(w, s, group), weight_scale=s.reshape(3, 1))
    for name, kind in [("awq_f16", torch.float16), ("awq_bf16", torch.bfloat16)]:
        w = torch.randint(-128, 128, (3, 64), dtype=torch.int8)
        s, z = (torch.rand(2, 3) * 0.1).to(kind), (torch.randn(2, 3) * 0.1).to(kind)
        nibbles = torch.stack([w.view(torch.uint8) & 15, w.view(torch.uint8) >> 4], -1).reshape(3, 2, 64)
        values = (nibbles.float() - 8) * s.t().float().unsqueeze(-1) + z.t().float().unsqueeze(-1)
        layer(name, {"format": "awq_w4a16", "group_size": 64}, w, rows(w, s.t().contiguous(), z.t().contiguous()), values.reshape(3, 128), weight_scale=s, weight_zeros=z)
    out["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    out["norm.weight"] = torch.ones(3)
    save_file(out, path)
    save_file(expected, expected_path)


if __name__ == "__main__":
    data, fixtures = sys.argv[1:]
    types(f"{data}/types.gguf", f"{data}/listed.gguf")
    records(f"{data}/records.safetensors", f"{data}/records.expected.safetensors")
    tokenizer(f"{fixtures}/spiece.model", f"{fixtures}/spiece.gguf")
