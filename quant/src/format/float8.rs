//! Eight-bit floats: plain, with a scale, and with a power of two for each 32 (mxfp8).

use super::minifloat::{E4M3, E4M3_MAX, E4M3_VALUES, E5M2, E5M2_MAX, E5M2_VALUES, Minifloat};
use super::{Encoder, Format, absmax, float_at, inverse, wgsl};
use crate::DType;

/// Elements of a block of mxfp8.
const BLOCK: usize = 32;

/// The format of a type of this family.
pub(super) fn format(dtype: DType) -> Option<Format> {
    let plain = |name, decode| Format {
        name,
        block: 1,
        block_bytes: 1,
        tail: None,
        decode,
        encode: None,
        wgsl: None,
    };
    Some(match dtype {
        DType::F8E4M3 => Format {
            encode: Some(Encoder::Rows(|values, out| {
                out.extend(values.iter().map(|v| E4M3.encode(*v)))
            })),
            wgsl: wgsl!([] "minifloat" "e4m3" "f8"),
            ..plain("F8_E4M3", |bytes, out| look_up(&E4M3_VALUES, bytes, out))
        },
        DType::F8E5M2 => Format {
            encode: Some(Encoder::Rows(|values, out| {
                out.extend(values.iter().map(|v| E5M2.encode(*v)))
            })),
            wgsl: wgsl!([] "minifloat" "e5m2" "f8"),
            ..plain("F8_E5M2", |bytes, out| look_up(&E5M2_VALUES, bytes, out))
        },
        DType::F8E8M0 => plain("F8_E8M0", |bytes, out| {
            for (o, b) in out.iter_mut().zip(bytes) {
                *o = match b {
                    0 => f32::from_bits(1 << 22),
                    255 => f32::NAN,
                    e => power(*e),
                };
            }
        }),
        DType::F8E4M3Scaled => Format {
            tail: Some(4),
            encode: Some(Encoder::Scaled(|row, most, out| {
                encode_scaled(E4M3, E4M3_MAX, row, most, out)
            })),
            wgsl: wgsl!([] "minifloat" "e4m3" "f8_scaled"),
            ..plain("F8_E4M3 scaled", |row, out| decode_scaled(&E4M3_VALUES, row, out))
        },
        DType::F8E5M2Scaled => Format {
            tail: Some(4),
            encode: Some(Encoder::Scaled(|row, most, out| {
                encode_scaled(E5M2, E5M2_MAX, row, most, out)
            })),
            wgsl: wgsl!([] "minifloat" "e5m2" "f8_scaled"),
            ..plain("F8_E5M2 scaled", |row, out| decode_scaled(&E5M2_VALUES, row, out))
        },
        DType::Mxfp8 => Format {
            name: "MXFP8",
            block: BLOCK,
            block_bytes: BLOCK + 1,
            tail: Some(0),
            decode: decode_mx,
            encode: Some(Encoder::Rows(encode_mx)),
            wgsl: wgsl!([] "minifloat" "e4m3" "mxfp8"),
        },
        _ => return None,
    })
}

fn look_up(values: &[f32; 256], bytes: &[u8], out: &mut [f32]) {
    for (o, b) in out.iter_mut().zip(bytes) {
        *o = values[usize::from(*b)];
    }
}

fn decode_scaled(values: &[f32; 256], row: &[u8], out: &mut [f32]) {
    let scale = float_at(row, out.len());
    for (o, b) in out.iter_mut().zip(row) {
        *o = values[usize::from(*b)] * scale;
    }
}

/// Elements, then the scale: the largest magnitude of the tensor becomes the largest finite number.
fn encode_scaled(float: Minifloat, max: f32, row: &[f32], tensor_absmax: f32, out: &mut Vec<u8>) {
    let scale = tensor_absmax / max;
    let inverse = inverse(scale);
    out.extend(row.iter().map(|v| float.encode((v * inverse).clamp(-max, max))));
    out.extend(scale.to_le_bytes());
}

/// The scale of an mxfp8 block as comfy-kitchen takes it: 0 for exponent 0, infinity for 255.
fn power(exponent: u8) -> f32 {
    f32::from_bits(u32::from(exponent) << 23)
}

fn decode_mx(row: &[u8], out: &mut [f32]) {
    let (elements, scales) = row.split_at(out.len());
    for ((out, elements), scale) in out
        .chunks_exact_mut(BLOCK)
        .zip(elements.chunks_exact(BLOCK))
        .zip(scales)
    {
        let scale = power(*scale);
        for (o, b) in out.iter_mut().zip(elements) {
            *o = E4M3_VALUES[usize::from(*b)] * scale;
        }
    }
}

/// The exponent of the least power of two that brings `absmax` into range, with its bias.
fn exponent(absmax: f32) -> u8 {
    let needed = absmax / E4M3_MAX;
    let bits = needed.to_bits();
    // Up to 2^-127, half of the least normal number, whose exponent would be 0.
    if bits <= 1 << 22 {
        return 0;
    }
    let up = u32::from(bits & 0x7f_ffff != 0);
    ((bits >> 23) + up).min(254) as u8
}

fn encode_mx(row: &[f32], out: &mut Vec<u8>) {
    let scales: Vec<_> = row.chunks_exact(BLOCK).map(|block| exponent(absmax(block))).collect();
    for (block, scale) in row.chunks_exact(BLOCK).zip(&scales) {
        let scale = power(*scale);
        let scaled = block.iter().map(|v| if scale == 0.0 { 0.0 } else { v / scale });
        out.extend(scaled.map(|v| E4M3.encode(v.clamp(-E4M3_MAX, E4M3_MAX))));
    }
    out.extend(scales);
}
