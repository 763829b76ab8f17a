//! How a number is stored, and how it becomes an `f32`.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::{Error, Result};

/// Storage type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of an `f32`.
    BF16,
    /// IEEE 754 double precision (read and converted, never computed with).
    F64,
    /// Unsigned byte (raw data such as an embedded tokenizer).
    U8,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer (token ids in exported inputs).
    I64,
    /// Unsigned 32-bit integer (token ids and row indices in graphs).
    U32,
    /// Boolean, one byte each.
    Bool,
}

impl DType {
    /// Every type there is.
    pub const ALL: [Self; 9] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::F64,
        Self::U8,
        Self::I32,
        Self::I64,
        Self::U32,
        Self::Bool,
    ];

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 | Self::Bool => 1,
        }
    }

    /// The name that safetensors headers use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F64 => "F64",
            Self::U8 => "U8",
            Self::I32 => "I32",
            Self::I64 => "I64",
            Self::U32 => "U32",
            Self::Bool => "BOOL",
        }
    }

    /// The type that safetensors headers call `name`, or `None` where this crate does not read it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Whether weights of this type can be multiplied with.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16 | Self::F64)
    }

    /// The names of the types that pass `keep`, for error messages.
    pub(crate) fn names_of(keep: impl Fn(Self) -> bool) -> String {
        let names: Vec<_> = Self::ALL.into_iter().filter(|t| keep(*t)).map(Self::name).collect();
        names.join(", ")
    }

    /// Converts little-endian elements of this type to `f32`; `bytes` may lie at any address.
    ///
    /// F16 and BF16 are exact; F64 and integers of more than 24 bits are rounded to nearest, ties to even;
    /// a boolean becomes 0 or 1.
    ///
    /// # Panics
    /// If `bytes` does not hold exactly `out.len()` elements.
    pub fn decode_f32(self, bytes: &[u8], out: &mut [f32]) {
        assert_eq!(
            Some(bytes.len()),
            out.len().checked_mul(self.size()),
            "{} bytes of {self}",
            bytes.len()
        );
        match self {
            Self::F32 => each(bytes, out, f32::from_le_bytes),
            Self::F16 => decode_f16(bytes, out),
            Self::BF16 => each(bytes, out, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
            Self::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
            Self::U8 => each(bytes, out, |[b]| f32::from(b)),
            Self::I32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32),
            Self::I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f32),
            Self::U32 => each(bytes, out, |b| u32::from_le_bytes(b) as f32),
            Self::Bool => each(bytes, out, |[b]| f32::from(b != 0)),
        }
    }

    /// Stores `values` as F32, F16 or BF16, little-endian, rounded to nearest, ties to even (beyond the range of
    /// F16: infinity).
    ///
    /// # Errors
    /// [`Error::Conversion`] for every other type.
    pub fn encode_f32(self, values: &[f32]) -> Result<Vec<u8>> {
        match self {
            Self::F32 => Ok(bytemuck::cast_slice(values).to_vec()),
            Self::F16 => {
                let mut out = vec![f16::ZERO; values.len()];
                out.convert_from_f32_slice(values);
                Ok(bytemuck::cast_slice(&out).to_vec())
            }
            Self::BF16 => Ok(values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect()),
            _ => Err(Error::Conversion {
                from: Self::F32,
                to: self.name(),
            }),
        }
    }
}

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

/// `value` as a half-precision store would leave it: rounded to nearest, ties to even; infinite from 65520 on.
pub fn round_f16(value: f32) -> f32 {
    f16::from_f32(value).to_f32()
}

/// [`round_f16`] of every element in place, with the processor's own conversion where there is one.
pub fn round_f16_slice(values: &mut [f32]) {
    const RUN: usize = 1024;
    let mut run = [f16::ZERO; RUN];
    for values in values.chunks_mut(RUN) {
        let run = &mut run[..values.len()];
        run.convert_from_f32_slice(values);
        run.convert_to_f32_slice(values);
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
