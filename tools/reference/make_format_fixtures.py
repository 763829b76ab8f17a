#!/usr/bin/env python3
"""Fixtures of the weight formats, from the packages that define them.

    python make_format_fixtures.py OUT         (OUT is quant/tests/fixtures)

OUT/blocks.safetensors      gguf: random bytes as blocks of each type, T.bytes, with their values, T.values; for types that
                            gguf encodes also T.encoded, the blocks of `input`
OUT/records.safetensors     comfy-kitchen 0.2.40 (eager functions, on the CPU): random elements and scales of each type with
                            their values, and what its quantisers make of `input`; block scales unswizzled
"""
import sys

import gguf
import numpy as np
import torch
from comfy_kitchen.backends.eager import awq, quantization as ck
from comfy_kitchen.float_utils import from_blocked
from safetensors.numpy import save_file

BLOCKS = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS".split()
ENCODED = BLOCKS[:5]
rng = np.random.default_rng(20)


def inputs(rows, k, tiny):
    """Normal numbers of several sizes; then zeros, tiny numbers, equal ones and ties."""
    x = rng.standard_normal((rows, k)).astype(np.float32) * np.float32(2.0) ** rng.integers(-8, 4, (rows, 1))
    x[-1, :64] = 0
    x[-1, 64:128] = rng.standard_normal(64) * tiny
    x[-1, 128:192] = 0.375
    x[-1, 192:256] = rng.integers(-4, 5, 64) / 2
    return x.astype(np.float32)


def blocks():
    # Of smaller ones the inverse scale overflows, and then gguf converts infinity to an integer.
    out = {"input": inputs(8, 256, 1e-30)}
    for name in BLOCKS:
        kind = gguf.GGMLQuantizationType[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        raw = rng.integers(0, 256, (12 if block == 256 else 64, size), dtype=np.uint8)
        out[f"{name}.bytes"] = raw
        out[f"{name}.values"] = gguf.quants.dequantize(raw, kind)
        if name in ENCODED:
            out[f"{name}.encoded"] = gguf.quants.quantize(out["input"], kind)
    return out


def random_bytes(*shape):
    return torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))


def plain(tensor):
    """As numpy holds it: types that it does not know as bytes."""
    known = (torch.float32, torch.float16, torch.int8, torch.uint8)
    return (tensor if tensor.dtype in known else tensor.contiguous().view(torch.uint8)).contiguous().numpy()


def unswizzled(scales, rows, columns):
    return from_blocked(scales.view(torch.uint8), rows, columns)


def records():
    x = torch.from_numpy(inputs(8, 1024, 1e-41))
    (rows, k), out = x.shape, {}
    scale = torch.tensor(0.0123)

    def put(name, **tensors):
        out.update({f"{name}.{key}": plain(tensor) for key, tensor in tensors.items()})

    put("F32", input=x)
    for name, kind in (("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2)):
        every = torch.arange(256, dtype=torch.uint8).view(kind).reshape(1, 256)
        wide = torch.from_numpy((rng.standard_normal((4, 256)) * 2.0 ** rng.integers(-20, 18, (4, 256))).astype(np.float32))
        put(name, values=every.float(), scale=scale, scaled=ck.dequantize_per_tensor_fp8(every, scale, torch.float32),
            wide=wide, narrowed=wide.to(kind))
        of_all = x.abs().amax() / torch.finfo(kind).max
        put(name, tensor_scale=of_all, encoded=ck.quantize_per_tensor_fp8(x, of_all, kind))

    q, scales = ck.quantize_mxfp8(x)
    put("MXFP8", encoded=q, encoded_scales=unswizzled(scales, rows, k // 32))
    # 128 rows of four scales are one whole tile.
    q, scales = random_bytes(128, 128), random_bytes(128, 4)
    values = ck.dequantize_mxfp8(q.view(torch.float8_e4m3fn), scales, torch.float32)[:8]
    put("MXFP8", elements=q[:8], scales=unswizzled(scales, 128, 4)[:8], values=values)

    of_all = x.abs().amax() / (448 * 6)
    q, scales = ck.quantize_nvfp4(x, of_all)
    put("NVFP4", tensor_scale=of_all, encoded=q, encoded_scales=unswizzled(scales, rows, k // 16))
    q, scales = random_bytes(128, 32), random_bytes(128, 4)
    values = ck.dequantize_nvfp4(q, scale, scales.view(torch.float8_e4m3fn), torch.float32)[:32]
    put("NVFP4", elements=q[:32], scales=unswizzled(scales, 128, 4)[:32], scale=scale, values=values)

    q, scales = ck.quantize_int8_rowwise(x)
    put("INT8", encoded=q, encoded_scales=scales)
    q = random_bytes(4, 1024).view(torch.int8)
    scales = torch.from_numpy(rng.random((4, 1), dtype=np.float32))
    put("INT8", elements=q, scales=scales, scale=scale)
    put("INT8", values=ck.dequantize_int8_simple(q, scales), tensor_values=ck.dequantize_int8_simple(q, scale))
    for group in (16, 64, 256, 1024):
        encoded, encoded_scales = ck.quantize_int8_convrot_weight(x, group)
        values = ck.dequantize_int8_convrot_weight(q, scales, group)
        put(f"INT8 convrot {group}", encoded=encoded, encoded_scales=encoded_scales, values=values)

    for name, kind in (("INT4 f16", torch.float16), ("INT4 bf16", torch.bfloat16)):
        q = random_bytes(8, 128)
        scales, offsets = (torch.from_numpy(rng.standard_normal((4, 8)).astype(np.float32)).to(kind) for _ in range(2))
        # Products with the unit matrix are the weight, in f32 as its scales are.
        values = awq.gemv_awq_w4a16(torch.eye(256), q.view(torch.int8), scales.float(), offsets.float()).T
        put(name, elements=q, scales=scales.T, offsets=offsets.T, values=values)
    return out


with np.errstate(all="ignore"):
    save_file(blocks(), f"{sys.argv[1]}/blocks.safetensors")
    save_file(records(), f"{sys.argv[1]}/records.safetensors")
