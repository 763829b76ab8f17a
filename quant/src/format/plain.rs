//! Plain types: each element stands for itself.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::{Encoder, Format, wgsl};
use crate::DType;

/// Decodes one element at a time; the fixed-size chunks let the compiler vectorise each use.
fn each<const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn([u8; N]) -> f32) {
    let (chunks, _) = bytes.as_chunks::<N>();
    for (o, b) in out.iter_mut().zip(chunks) {
        *o = decode(*b);
    }
}

/// `half` converts with the processor's own instruction where there is one, but wants aligned slices: hence the
/// detour over a buffer that stays in the first-level cache.
fn decode_f16(bytes: &[u8], out: &mut [f32]) {
    const RUN: usize = 1024;
    let mut run = [f16::ZERO; RUN];
    for (bytes, out) in bytes.chunks(2 * RUN).zip(out.chunks_mut(RUN)) {
        let run = &mut run[..out.len()];
        bytemuck::cast_slice_mut(run).copy_from_slice(bytes);
        run.convert_to_f32_slice(out);
    }
}

fn encode_f16(values: &[f32], out: &mut Vec<u8>) {
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(values);
    out.extend_from_slice(bytemuck::cast_slice(&halves));
}

/// The format of a plain type.
pub(super) fn format(dtype: DType) -> Option<Format> {
    let plain = |name, size, decode| Format {
        name,
        block: 1,
        block_bytes: size,
        tail: None,
        decode,
        encode: None,
        wgsl: None,
    };
    Some(match dtype {
        DType::F32 => Format {
            encode: Some(Encoder::Rows(|values, out| {
                out.extend_from_slice(bytemuck::cast_slice(values))
            })),
            wgsl: Some(concat!(wgsl!("f32"), "\n", wgsl!("fours"))),
            ..plain("F32", 4, |bytes, out| each(bytes, out, f32::from_le_bytes))
        },
        DType::F16 => Format {
            encode: Some(Encoder::Rows(encode_f16)),
            wgsl: Some(concat!(wgsl!("f16"), "\n", wgsl!("fours"))),
            ..plain("F16", 2, decode_f16)
        },
        DType::BF16 => Format {
            encode: Some(Encoder::Rows(|values, out| {
                out.extend(values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()));
            })),
            wgsl: Some(concat!(wgsl!("bf16"), "\n", wgsl!("fours"))),
            ..plain("BF16", 2, |bytes, out| {
                each(bytes, out, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16));
            })
        },
        DType::F64 => plain("F64", 8, |bytes, out| {
            each(bytes, out, |b| f64::from_le_bytes(b) as f32)
        }),
        DType::U8 => plain("U8", 1, |bytes, out| each(bytes, out, |[b]| f32::from(b))),
        DType::I8 => plain("I8", 1, |bytes, out| {
            each(bytes, out, |b| f32::from(i8::from_le_bytes(b)))
        }),
        DType::I32 => plain("I32", 4, |bytes, out| {
            each(bytes, out, |b| i32::from_le_bytes(b) as f32)
        }),
        DType::I64 => plain("I64", 8, |bytes, out| {
            each(bytes, out, |b| i64::from_le_bytes(b) as f32)
        }),
        DType::U32 => plain("U32", 4, |bytes, out| {
            each(bytes, out, |b| u32::from_le_bytes(b) as f32)
        }),
        DType::Bool => plain("BOOL", 1, |bytes, out| each(bytes, out, |[b]| f32::from(b != 0))),
        _ => return None,
    })
}
