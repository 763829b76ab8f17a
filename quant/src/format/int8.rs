//! Signed bytes with a scale for each row, of rows as they are or rotated in groups.

use super::{Encoder, Format, float_at, wgsl};
use crate::int8::quantize_row;
use crate::{DType, Rotation};

/// The format of a type of this family.
pub(super) fn format(dtype: DType) -> Option<Format> {
    let rotated = |name, rotation: Rotation, decode, encode| Format {
        name,
        block: rotation.group(),
        block_bytes: rotation.group(),
        tail: Some(4),
        decode,
        encode: Some(Encoder::Rows(encode)),
        wgsl: None,
    };
    macro_rules! rotated {
        ($name:literal, $rotation:expr) => {
            rotated(
                $name,
                $rotation,
                |row, out| {
                    decode(row, out);
                    $rotation.rotate(out);
                },
                |row, out| {
                    let mut row = row.to_vec();
                    $rotation.rotate(&mut row);
                    encode(&row, out);
                },
            )
        };
    }
    Some(match dtype {
        DType::Int8 => Format {
            name: "INT8",
            block: 1,
            block_bytes: 1,
            tail: Some(4),
            decode,
            encode: Some(Encoder::Rows(encode)),
            wgsl: wgsl!([] "int8"),
        },
        DType::Int8ConvRot(Rotation::G16) => rotated!("INT8 convrot 16", Rotation::G16),
        DType::Int8ConvRot(Rotation::G64) => rotated!("INT8 convrot 64", Rotation::G64),
        DType::Int8ConvRot(Rotation::G256) => rotated!("INT8 convrot 256", Rotation::G256),
        DType::Int8ConvRot(Rotation::G1024) => rotated!("INT8 convrot 1024", Rotation::G1024),
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
    let mut elements = vec![0i8; row.len()];
    let scale = quantize_row(row, &mut elements);
    out.extend_from_slice(bytemuck::cast_slice(&elements));
    out.extend(scale.to_le_bytes());
}
