//! GGUF's first blocks: 32 elements of four, five or eight bits with an f16 scale, some with an f16 minimum.

use half::f16;

use super::{Encoder, Format, absmax, extreme, half_at, inverse, wgsl};
use crate::DType;

/// Elements of a block.
const BLOCK: usize = 32;

/// The format of a type of this family.
pub(super) fn format(dtype: DType) -> Option<Format> {
    let block = |name, block_bytes, decode, encode, wgsl| Format {
        name,
        block: BLOCK,
        block_bytes,
        tail: None,
        decode,
        encode: Some(Encoder::Rows(encode)),
        wgsl,
    };
    macro_rules! nibbles {
        ($name:literal, $bytes:literal, minimum: $minimum:literal, fifth: $fifth:literal) => {
            block(
                $name,
                $bytes,
                decode_nibbles::<$minimum, $fifth>,
                encode_nibbles::<$minimum, $fifth>,
                wgsl!([concat!("const WEIGHT_BLOCK = ", $bytes, "u;"), concat!("const WEIGHT_MINIMUM = ", $minimum, ";"), concat!("const WEIGHT_FIFTH = ", $fifth, ";")] "nibbles"),
            )
        };
    }
    Some(match dtype {
        DType::Q4_0 => nibbles!("Q4_0", 18, minimum: false, fifth: false),
        DType::Q4_1 => nibbles!("Q4_1", 20, minimum: true, fifth: false),
        DType::Q5_0 => nibbles!("Q5_0", 22, minimum: false, fifth: true),
        DType::Q5_1 => nibbles!("Q5_1", 24, minimum: true, fifth: true),
        DType::Q8_0 => block("Q8_0", 34, decode_bytes, encode_bytes, wgsl!([] "q8_0")),
        _ => return None,
    })
}

/// Scale, minimum, fifth bits of all elements, low bits of elements i and i + 16 in a byte.
fn decode_nibbles<const MINIMUM: bool, const FIFTH: bool>(bytes: &[u8], out: &mut [f32]) {
    let head = if MINIMUM { 4 } else { 2 };
    let low_at = if FIFTH { head + 4 } else { head };
    let zero = if FIFTH { 16 } else { 8 };
    for (block, out) in bytes.chunks_exact(low_at + BLOCK / 2).zip(out.chunks_exact_mut(BLOCK)) {
        let d = half_at(block, 0);
        let minimum = if MINIMUM { half_at(block, 2) } else { 0.0 };
        let fifth = if FIFTH {
            u32::from_le_bytes([0, 1, 2, 3].map(|i| block[head + i]))
        } else {
            0
        };
        for (i, o) in out.iter_mut().enumerate() {
            let low = (block[low_at + i % 16] >> (i / 16 * 4)) & 15;
            let q = i32::from(low) | ((fifth >> i & 1) << 4) as i32;
            *o = if MINIMUM {
                d * q as f32 + minimum
            } else {
                d * (q - zero) as f32
            };
        }
    }
}

/// As ggml does: with a minimum from the least to the largest element, else the largest magnitude at the lowest code.
fn encode_nibbles<const MINIMUM: bool, const FIFTH: bool>(values: &[f32], out: &mut Vec<u8>) {
    let top = if FIFTH { 31 } else { 15 };
    for block in values.chunks_exact(BLOCK) {
        let (d, low, zero) = if MINIMUM {
            let low = block.iter().copied().fold(f32::INFINITY, f32::min);
            let high = block.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            ((high - low) / top as f32, low, 0.5)
        } else {
            let half = (top + 1) as f32 / 2.0;
            (extreme(block) / -half, 0.0, half + 0.5)
        };
        let inverse = inverse(d);
        let mut codes = [0u8; BLOCK];
        for (code, v) in codes.iter_mut().zip(block) {
            *code = (((v - low) * inverse + zero) as u8).min(top);
        }
        out.extend(f16::from_f32(d).to_le_bytes());
        if MINIMUM {
            out.extend(f16::from_f32(low).to_le_bytes());
        }
        if FIFTH {
            let fifth = codes
                .iter()
                .rev()
                .fold(0u32, |bits, code| (bits << 1) | u32::from(code >> 4));
            out.extend(fifth.to_le_bytes());
        }
        out.extend((0..16).map(|i| (codes[i] & 15) | (codes[i + 16] << 4)));
    }
}

/// Scale, elements.
fn decode_bytes(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.chunks_exact(BLOCK + 2).zip(out.chunks_exact_mut(BLOCK)) {
        let d = half_at(block, 0);
        for (o, b) in out.iter_mut().zip(&block[2..]) {
            *o = f32::from(*b as i8) * d;
        }
    }
}

fn encode_bytes(values: &[f32], out: &mut Vec<u8>) {
    for block in values.chunks_exact(BLOCK) {
        let d = absmax(block) / 127.0;
        let inverse = inverse(d);
        out.extend(f16::from_f32(d).to_le_bytes());
        // Ties away from zero, as ggml has them.
        out.extend(block.iter().map(|v| (v * inverse).round() as i8 as u8));
    }
}
