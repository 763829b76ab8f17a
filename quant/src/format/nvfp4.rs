//! nvfp4: four-bit floats with an eight-bit float for each 16 and an f32 for all.

use super::minifloat::{E2M1, E2M1_MAX, E2M1_VALUES, E4M3, E4M3_MAX, E4M3_VALUES};
use super::{Encoder, Format, absmax, float_at, wgsl};
use crate::DType;

/// Elements that share a scale.
const BLOCK: usize = 16;

/// The format of [`DType::Nvfp4`].
pub(super) fn format(dtype: DType) -> Option<Format> {
    (dtype == DType::Nvfp4).then_some(Format {
        name: "NVFP4",
        block: BLOCK,
        block_bytes: BLOCK / 2 + 1,
        tail: Some(4),
        decode,
        encode: Some(Encoder::Scaled(encode)),
        wgsl: wgsl!([] "minifloat" "e4m3" "nvfp4"),
    })
}

fn decode(row: &[u8], out: &mut [f32]) {
    let k = out.len();
    let (elements, rest) = row.split_at(k / 2);
    let tensor_scale = float_at(rest, k / BLOCK);
    let blocks = out.chunks_exact_mut(BLOCK).zip(elements.chunks_exact(BLOCK / 2));
    for ((out, elements), scale) in blocks.zip(rest) {
        let scale = tensor_scale * E4M3_VALUES[usize::from(*scale)];
        for (pair, byte) in out.chunks_exact_mut(2).zip(elements) {
            pair[0] = E2M1_VALUES[usize::from(byte >> 4)] * scale;
            pair[1] = E2M1_VALUES[usize::from(byte & 15)] * scale;
        }
    }
}

fn encode(row: &[f32], tensor_absmax: f32, out: &mut Vec<u8>) {
    let tensor_scale = tensor_absmax / (E4M3_MAX * E2M1_MAX);
    let scale_of = |block: &[f32]| {
        let scale = absmax(block) / E2M1_MAX / tensor_scale;
        // A tensor of nothing but zeros has no scale.
        E4M3.encode(if scale.is_nan() { 0.0 } else { scale.min(E4M3_MAX) })
    };
    let scales: Vec<_> = row.chunks_exact(BLOCK).map(scale_of).collect();
    for (block, scale) in row.chunks_exact(BLOCK).zip(&scales) {
        let scale = tensor_scale * E4M3_VALUES[usize::from(*scale)];
        let code = |v: f32| {
            if scale == 0.0 {
                0
            } else {
                E2M1.encode((v / scale).clamp(-E2M1_MAX, E2M1_MAX))
            }
        };
        out.extend(block.chunks_exact(2).map(|pair| (code(pair[0]) << 4) | code(pair[1])));
    }
    out.extend(scales);
    out.extend(tensor_scale.to_le_bytes());
}
