//! Four-bit integers with a scale and an offset for each 64 (AWQ as comfy-kitchen stores it).

use half::{bf16, f16};

use super::{Encoder, Format, wgsl};
use crate::DType;

/// Elements that share a scale and an offset.
const GROUP: usize = 64;

/// A type of 16 bits, of which scales and offsets are.
trait Half {
    fn decode(bytes: [u8; 2]) -> f32;
    fn encode(value: f32) -> [u8; 2];
}

impl Half for f16 {
    fn decode(bytes: [u8; 2]) -> f32 {
        Self::from_le_bytes(bytes).to_f32()
    }

    fn encode(value: f32) -> [u8; 2] {
        Self::from_f32(value).to_le_bytes()
    }
}

impl Half for bf16 {
    fn decode(bytes: [u8; 2]) -> f32 {
        Self::from_le_bytes(bytes).to_f32()
    }

    fn encode(value: f32) -> [u8; 2] {
        Self::from_f32(value).to_le_bytes()
    }
}

/// The format of a type of this family.
pub(super) fn format(dtype: DType) -> Option<Format> {
    let grouped = |name, decode, encode, wgsl| Format {
        name,
        block: GROUP,
        block_bytes: GROUP / 2 + 4,
        tail: Some(0),
        decode,
        encode: Some(Encoder::Rows(encode)),
        wgsl,
    };
    Some(match dtype {
        DType::Int4F16 => grouped(
            "INT4 f16",
            decode::<f16>,
            encode::<f16>,
            wgsl!(["const WEIGHT_BF16 = false;"] "int4"),
        ),
        DType::Int4BF16 => grouped(
            "INT4 bf16",
            decode::<bf16>,
            encode::<bf16>,
            wgsl!(["const WEIGHT_BF16 = true;"] "int4"),
        ),
        _ => return None,
    })
}

fn decode<H: Half>(row: &[u8], out: &mut [f32]) {
    let (elements, rest) = row.split_at(out.len() / 2);
    let (scales, offsets) = rest.split_at(rest.len() / 2);
    let factors = scales.as_chunks().0.iter().zip(offsets.as_chunks().0);
    let groups = out.chunks_exact_mut(GROUP).zip(elements.chunks_exact(GROUP / 2));
    for ((out, elements), (scale, offset)) in groups.zip(factors) {
        let (scale, offset) = (H::decode(*scale), H::decode(*offset));
        for (pair, byte) in out.chunks_exact_mut(2).zip(elements) {
            pair[0] = (f32::from(byte & 15) - 8.0) * scale + offset;
            pair[1] = (f32::from(byte >> 4) - 8.0) * scale + offset;
        }
    }
}

/// From the least to the largest element of a group in fifteen steps.
fn encode<H: Half>(row: &[f32], out: &mut Vec<u8>) {
    let (mut scales, mut offsets) = (Vec::new(), Vec::new());
    for group in row.chunks_exact(GROUP) {
        let low = group.iter().copied().fold(f32::INFINITY, f32::min);
        let high = group.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let scale = H::encode((high - low) / 15.0);
        // The offset takes up what rounding did to the scale.
        let offset = H::encode(low + 8.0 * H::decode(scale));
        let (step, middle) = (H::decode(scale), H::decode(offset));
        let code = |v: f32| {
            ((v - middle) * super::inverse(step) + 8.0)
                .round_ties_even()
                .clamp(0.0, 15.0) as u8
        };
        out.extend(group.chunks_exact(2).map(|pair| code(pair[0]) | (code(pair[1]) << 4)));
        scales.extend(scale);
        offsets.extend(offset);
    }
    out.extend(scales);
    out.extend(offsets);
}
