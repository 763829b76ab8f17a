//! How a number is stored, and how it becomes an `f32`.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::format::{Encoder, absmax};
use crate::{Error, Result};

/// Storage type of a tensor's elements.
///
/// Three kinds: *plain* types, of which each element stands for itself; *blocks* of GGUF files, a fixed number of
/// elements with their scales; and *records*, the formats whose scales lie in tensors of their own in a file and
/// which this crate's readers hand out row by row with the scales behind the elements ([`crate::format`]).
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
    /// Eight bits, four of exponent, no infinity ("e4m3fn").
    F8E4M3,
    /// Eight bits, five of exponent.
    F8E5M2,
    /// A power of two (scales of mxfp8).
    F8E8M0,
    /// Unsigned byte (raw data such as an embedded tokenizer).
    U8,
    /// Signed byte.
    I8,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer (token ids in exported inputs).
    I64,
    /// Unsigned 32-bit integer (token ids and row indices in graphs).
    U32,
    /// Boolean, one byte each.
    Bool,
    /// GGUF: 32 elements of 4 bits with an f16 scale.
    Q4_0,
    /// GGUF: as [`Self::Q4_0`] with an f16 minimum.
    Q4_1,
    /// GGUF: 32 elements of 5 bits with an f16 scale.
    Q5_0,
    /// GGUF: as [`Self::Q5_0`] with an f16 minimum.
    Q5_1,
    /// GGUF: 32 elements of 8 bits with an f16 scale.
    Q8_0,
    /// GGUF: 256 elements of 2 bits, scales and minima of 4 bits.
    Q2K,
    /// GGUF: 256 elements of 3 bits, scales of 6 bits.
    Q3K,
    /// GGUF: 256 elements of 4 bits, scales and minima of 6 bits.
    Q4K,
    /// GGUF: 256 elements of 5 bits, scales and minima of 6 bits.
    Q5K,
    /// GGUF: 256 elements of 6 bits, scales of 8 bits.
    Q6K,
    /// GGUF: 32 elements of 4 bits through a table, with an f16 scale.
    Iq4Nl,
    /// GGUF: 256 elements of 4 bits through a table, scales of 6 bits.
    Iq4Xs,
    /// Record: [`Self::F8E4M3`] with an f32 scale.
    F8E4M3Scaled,
    /// Record: [`Self::F8E5M2`] with an f32 scale.
    F8E5M2Scaled,
    /// Record: [`Self::F8E4M3`], an [`Self::F8E8M0`] scale for 32 elements.
    Mxfp8,
    /// Record: 4-bit floats (e2m1), an [`Self::F8E4M3`] scale for 16 of them, an f32 scale.
    Nvfp4,
    /// Record: signed bytes with an f32 scale; products quantise the other operand too.
    Int8,
    /// [`Self::Int8`] of a matrix whose rows were rotated in groups.
    Int8ConvRot(Rotation),
    /// Record: 4-bit integers, for 64 of them an f16 scale and an f16 offset.
    Int4F16,
    /// [`Self::Int4F16`] with BF16 in place of f16.
    Int4BF16,
}

/// Size of the groups that a Hadamard rotation mixes: a power of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rotation {
    /// 16 elements.
    G16,
    /// 64 elements.
    G64,
    /// 256 elements: what ComfyUI's files have.
    G256,
    /// 1024 elements.
    G1024,
}

impl Rotation {
    /// All sizes.
    pub const ALL: [Self; 4] = [Self::G16, Self::G64, Self::G256, Self::G1024];

    /// Elements of a group.
    pub const fn group(self) -> usize {
        match self {
            Self::G16 => 16,
            Self::G64 => 64,
            Self::G256 => 256,
            Self::G1024 => 1024,
        }
    }

    /// The rotation of groups of `group` elements.
    pub fn of(group: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.group() == group)
    }
}

impl DType {
    /// The types that safetensors headers have names for.
    pub const PLAIN: [Self; 13] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::F64,
        Self::F8E4M3,
        Self::F8E5M2,
        Self::F8E8M0,
        Self::U8,
        Self::I8,
        Self::I32,
        Self::I64,
        Self::U32,
        Self::Bool,
    ];

    /// The block types of GGUF files.
    pub const BLOCKS: [Self; 12] = [
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Iq4Nl,
        Self::Iq4Xs,
    ];

    /// The record types.
    pub const RECORDS: [Self; 11] = [
        Self::F8E4M3Scaled,
        Self::F8E5M2Scaled,
        Self::Mxfp8,
        Self::Nvfp4,
        Self::Int8,
        Self::Int8ConvRot(Rotation::G16),
        Self::Int8ConvRot(Rotation::G64),
        Self::Int8ConvRot(Rotation::G256),
        Self::Int8ConvRot(Rotation::G1024),
        Self::Int4F16,
        Self::Int4BF16,
    ];

    /// Every type there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::PLAIN.into_iter().chain(Self::BLOCKS).chain(Self::RECORDS)
    }

    /// The name that safetensors headers use, ggml's for blocks, ours for records.
    pub fn name(self) -> &'static str {
        self.format().name
    }

    /// The type that safetensors headers call `name`, or `None` where this crate does not read it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::PLAIN.into_iter().find(|t| t.name() == name)
    }

    /// Whether weights of this type can be multiplied with.
    pub fn is_float(self) -> bool {
        !matches!(
            self,
            Self::U8 | Self::I8 | Self::I32 | Self::I64 | Self::U32 | Self::Bool | Self::F8E8M0
        )
    }

    /// Bytes of a row of `k` elements, or `None` where `k` elements are no whole blocks of this type.
    pub fn row_bytes(self, k: usize) -> Option<usize> {
        let format = self.format();
        if !k.is_multiple_of(format.block) {
            return None;
        }
        let blocks = (k / format.block).checked_mul(format.block_bytes)?;
        match format.tail {
            None => Some(blocks),
            Some(tail) => blocks.checked_add(tail)?.checked_next_multiple_of(4),
        }
    }

    /// The names of the types that pass `keep`, for error messages.
    pub(crate) fn names_of(keep: impl Fn(Self) -> bool) -> String {
        let names: Vec<_> = Self::all().filter(|t| keep(*t)).map(Self::name).collect();
        names.join(", ")
    }

    /// Converts rows of `k` elements of this type, little-endian, to `f32`; `bytes` may lie at any address.
    ///
    /// Types of at most 32 bits are exact, scaled ones but for the rounding of their products; F64 and integers of
    /// more than 24 bits are rounded to nearest, ties to even; a boolean becomes 0 or 1.
    ///
    /// # Panics
    /// If `bytes` does not hold exactly the rows that fill `out`.
    pub fn decode(self, k: usize, bytes: &[u8], out: &mut [f32]) {
        let format = self.format();
        // Without a tail, rows of blocks are one long row.
        let k = if format.tail.is_none() { out.len() } else { k };
        let row = self.row_bytes(k).unwrap_or(0);
        let rows = out.len().checked_div(k).unwrap_or(0);
        assert!(
            rows * k == out.len() && rows * row == bytes.len(),
            "{} bytes of {self} for {} elements",
            bytes.len(),
            out.len()
        );
        if row > 0 {
            for (bytes, out) in bytes.chunks_exact(row).zip(out.chunks_exact_mut(k)) {
                (format.decode)(bytes, out);
            }
        }
    }

    /// Whether all rows share a scale that follows from the largest magnitude of the tensor
    /// ([`encode_rows`](Self::encode_rows)).
    pub fn has_tensor_scale(self) -> bool {
        matches!(self.format().encode, Some(Encoder::Scaled(_)))
    }

    /// Stores rows of `k` values, a whole tensor, as this type, little-endian: rounded to nearest, ties to even, for
    /// floats (beyond the range of F16: infinity), as the format's reference encoder does for others, and for those
    /// that have none with the least squares of the error that a short search finds.
    ///
    /// # Errors
    /// [`Error::Conversion`] for types that cannot be written, or whose blocks `k` does not fill.
    ///
    /// # Panics
    /// If `values` are no whole rows.
    pub fn encode(self, k: usize, values: &[f32]) -> Result<Vec<u8>> {
        let most = if self.has_tensor_scale() { absmax(values) } else { 0.0 };
        self.encode_rows(k, values, most)
    }

    /// [`encode`](Self::encode) of some rows of a tensor whose largest magnitude is `tensor_absmax`; only types that
    /// [have a scale for all rows](Self::has_tensor_scale) look at it.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    ///
    /// # Panics
    /// As [`encode`](Self::encode).
    pub fn encode_rows(self, k: usize, rows: &[f32], tensor_absmax: f32) -> Result<Vec<u8>> {
        let format = self.format();
        let refused = || Error::Conversion {
            from: Self::F32,
            to: self.name(),
        };
        let k = if format.tail.is_none() { rows.len() } else { k };
        let encode = format.encode.ok_or_else(refused)?;
        let row_bytes = self.row_bytes(k).ok_or_else(refused)?;
        let count = rows.len().checked_div(k).unwrap_or(0);
        assert!(count * k == rows.len(), "{} values are no rows of {k}", rows.len());
        let mut out = Vec::with_capacity(row_bytes * count);
        for row in rows.chunks_exact(k.max(1)) {
            let end = out.len() + row_bytes;
            match encode {
                Encoder::Rows(encode) => encode(row, &mut out),
                Encoder::Scaled(encode) => encode(row, tensor_absmax, &mut out),
            }
            out.resize(end, 0);
        }
        Ok(out)
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
