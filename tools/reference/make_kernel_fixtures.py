#!/usr/bin/env python3
"""Fixtures of operations whose reference is a library's function: int8 layers and layers with experts.

    python make_kernel_fixtures.py OUT         (OUT is tests/fixtures)

OUT/int8_linear.safetensors     comfy-kitchen 0.2.40's int8_linear (eager, on the CPU) in f32: for each case I
                                I.x [M, K], I.weight int8 [N, K], I.scale [1] or [N], I.bias [N] (or absent), I.y [M, N];
                                the metadata gives each case's group size of the rotation, 0 where there is none
OUT/experts.safetensors         transformers' Qwen3MoeSparseMoeBlock and MixtralSparseMoeBlock in f32: N.x [T, H],
                                N.router [E, H], N.gate_up [E, 2 I, H], N.down [E, H, I], N.y [T, H]
"""
import os
import sys

import torch
from comfy_kitchen.backends.eager import quantization
from safetensors.torch import save_file

# M, K, N, rotation, a scale for each row, a bias.
CASES = [(5, 64, 7, 0, False, False), (3, 37, 5, 0, True, True), (33, 256, 20, 256, True, True), (9, 192, 35, 64, True, False),
         (2, 48, 6, 16, False, True), (12, 2048, 9, 1024, True, False)]


def int8_linear(out):
    generator = torch.Generator().manual_seed(8)
    tensors, rotations = {}, {}
    for index, (m, k, n, rotation, rows, bias) in enumerate(CASES):
        x = torch.randn(m, k, generator=generator)
        # Two columns as outliers, which the rotation spreads.
        x[:, :2] *= 20
        weight = torch.randint(-127, 128, (n, k), generator=generator, dtype=torch.int8)
        scale = torch.rand(n if rows else 1, generator=generator) * 0.01 + 0.001
        b = torch.randn(n, generator=generator) if bias else None
        y = quantization.int8_linear(x, weight, scale, b, torch.float32, rotation > 0, rotation or 256)
        found = dict(x=x, weight=weight, scale=scale, y=y) | (dict(bias=b) if bias else {})
        tensors |= {f"{index}.{name}": t.contiguous() for name, t in found.items()}
        rotations[f"{index}"] = str(rotation)
    save_file(tensors, os.path.join(out, "int8_linear.safetensors"), rotations)


def experts(out):
    from transformers.models.mixtral.configuration_mixtral import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock
    from transformers.models.qwen3_moe.configuration_qwen3_moe import Qwen3MoeConfig
    from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock
    common = dict(hidden_size=16, num_experts_per_tok=2)
    qwen = dict(moe_intermediate_size=12, num_experts=6, **common)
    blocks = {
        "qwen3": Qwen3MoeSparseMoeBlock(Qwen3MoeConfig(norm_topk_prob=False, **qwen)),
        "qwen3_normalized": Qwen3MoeSparseMoeBlock(Qwen3MoeConfig(norm_topk_prob=True, **qwen)),
        "mixtral": MixtralSparseMoeBlock(MixtralConfig(intermediate_size=12, num_local_experts=6, **common)),
    }
    generator = torch.Generator().manual_seed(9)
    tensors = {}
    for name, block in blocks.items():
        weights = dict(router=block.gate.weight, gate_up=block.experts.gate_up_proj, down=block.experts.down_proj)
        for weight in weights.values():
            weight.data = torch.randn(weight.shape, generator=generator) * 0.4
        # The last expert is never chosen, the first by every token.
        block.gate.weight.data[0] = 3
        block.gate.weight.data[-1] = -3
        x = torch.rand(1, 11, 16, generator=generator)
        with torch.no_grad():
            y = block(x)
        y = y[0] if isinstance(y, tuple) else y
        tensors |= {f"{name}.{n}": w.detach().clone() for n, w in weights.items()}
        tensors |= {f"{name}.x": x[0].contiguous(), f"{name}.y": y.reshape(11, 16).contiguous()}
    save_file(tensors, os.path.join(out, "experts.safetensors"))


if __name__ == "__main__":
    int8_linear(sys.argv[1])
    experts(sys.argv[1])
