//! Formats of tensors: layout, decoder, encoder and the WGSL of the decoder, one home for each family.
//!
//! # WGSL
//! A decoder declares binding 1 and three functions; `params.k` is the number of elements of a row:
//! - `fn weight_row(row: u32) -> u32`: where a row of the binding begins, in the format's own unit;
//! - `fn load_weight(row: u32, k: u32) -> f32`: element k of the row that begins at `row`;
//! - `fn load_weight4(row: u32, k: u32) -> vec4<f32>`: elements k to k + 3, k a multiple of four; those at or past
//!   `params.k` may be anything.
//!
//! A snippet may use those of `wgsl/bytes.wgsl` by `//#include bytes`.

mod blocks;
mod plain;
mod records;

use crate::DType;

/// How rows of a tensor are stored.
#[derive(Clone, Copy)]
pub struct Format {
    /// See [`DType::name`].
    pub name: &'static str,
    /// Elements of a block.
    pub block: usize,
    /// Bytes that a block takes.
    pub block_bytes: usize,
    /// `None` where blocks follow each other whatever the rows. Else a row is a record: the elements of its blocks, the
    /// blocks' scales, this many bytes, and zeros up to a multiple of four.
    pub tail: Option<usize>,
    /// Decodes a row, or any number of blocks where there is no tail.
    pub(crate) decode: fn(&[u8], &mut [f32]),
    /// Appends a row, padding included, or blocks where there is no tail.
    pub(crate) encode: Option<fn(&[f32], &mut Vec<u8>)>,
    /// The decoder for kernels; `None` for types that they do not read.
    pub wgsl: Option<&'static str>,
}

/// Loads of 8, 16 and 32 bits from a binding of words, for decoders.
pub const WGSL_BYTES: &str = include_str!("wgsl/bytes.wgsl");

impl DType {
    /// The format.
    pub fn format(self) -> Format {
        plain::format(self)
            .or_else(|| blocks::format(self))
            .or_else(|| records::format(self))
            .expect("each type is of one of the three kinds")
    }
}
