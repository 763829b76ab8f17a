//! Signed bytes with a scale for each row, of rows as they are or rotated in groups.

use super::{Encoder, Format, absmax, float_at, wgsl};
use crate::{DType, Rotation};

/// The format of a type of this family.
pub(super) fn format(dtype: DType) -> Option<Format> {
    let rotated = |name, group, decode, encode| Format {
        name,
        block: group,
        block_bytes: group,
        tail: Some(4),
        decode,
        encode: Some(Encoder::Rows(encode)),
        wgsl: None,
    };
    Some(match dtype {
        DType::Int8 => Format {
            wgsl: wgsl!([] "int8"),
            ..rotated("INT8", 1, decode, encode)
        },
        DType::Int8ConvRot(Rotation::G16) => rotated("INT8 convrot 16", 16, decode_rotated::<16>, encode_rotated::<16>),
        DType::Int8ConvRot(Rotation::G64) => rotated("INT8 convrot 64", 64, decode_rotated::<64>, encode_rotated::<64>),
        DType::Int8ConvRot(Rotation::G256) => {
            rotated("INT8 convrot 256", 256, decode_rotated::<256>, encode_rotated::<256>)
        }
        DType::Int8ConvRot(Rotation::G1024) => rotated(
            "INT8 convrot 1024",
            1024,
            decode_rotated::<1024>,
            encode_rotated::<1024>,
        ),
        _ => return None,
    })
}

fn decode(row: &[u8], out: &mut [f32]) {
    let scale = float_at(row, out.len());
    for (o, b) in out.iter_mut().zip(row) {
        *o = f32::from(*b as i8) * scale;
    }
}

fn encode(row: &[f32], out: &mut Vec<u8>) {
    // The least scale of the reference quantiser.
    let scale = (absmax(row) / 127.0).max(1e-30);
    let element = |v: &f32| (v / scale).round_ties_even() as i8 as u8;
    out.extend(row.iter().map(element));
    out.extend(scale.to_le_bytes());
}

fn decode_rotated<const G: usize>(row: &[u8], out: &mut [f32]) {
    decode(row, out);
    rotate::<G>(out);
}

fn encode_rotated<const G: usize>(row: &[f32], out: &mut Vec<u8>) {
    let mut row = row.to_vec();
    rotate::<G>(&mut row);
    encode(&row, out);
}

/// Multiplies each group of `G` elements by the Kronecker power of the regular Hadamard matrix of four,
/// `[1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1]`, over √G: symmetric, its own inverse. One factor after another.
fn rotate<const G: usize>(row: &mut [f32]) {
    // √G is a power of two.
    let scale = 1.0 / (1 << (G.ilog2() / 2)) as f32;
    for group in row.chunks_exact_mut(G) {
        let mut step = 1;
        while step < G {
            for part in group.chunks_exact_mut(4 * step) {
                for i in 0..step {
                    let [a, b, c, d] = [0, 1, 2, 3].map(|j| part[i + j * step]);
                    part[i] = a + b + c - d;
                    part[i + step] = a + b - c + d;
                    part[i + 2 * step] = a - b + c + d;
                    part[i + 3 * step] = b + c + d - a;
                }
            }
            step *= 4;
        }
        group.iter_mut().for_each(|v| *v *= scale);
    }
}
