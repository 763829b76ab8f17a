//! Formats of tensors: layout, decoder, encoder and the WGSL of the decoder, one home for each family.
//!
//! # WGSL
//! A decoder declares binding 1 and functions; `params.k` is the number of elements of a row:
//! - `fn weight_row(row: u32) -> u32`: where a row of the binding begins, in the format's own unit;
//! - `fn load_weight(row: u32, k: u32) -> f32`: element k of the row that begins at `row`;
//! - `fn load_weight4(row: u32, k: u32) -> vec4<f32>`: elements k to k + 3, k a multiple of four; those at or past
//!   `params.k` may be anything;
//! - `fn weight_run(row: u32, k: u32) -> WeightRun`: elements k to k + `WEIGHT_RUN` - 1 as loaded, k a multiple of
//!   `WEIGHT_RUN`, which divides a block or is four (`wgsl/fours.wgsl`);
//! - `fn run_weight4(run: WeightRun, i: u32) -> vec4<f32>`: of these, elements 4 i to 4 i + 3.
//!
//! Decoders read whole words, and may read up to 16 bytes past the end of the last row. A snippet may use those of
//! `wgsl/bytes.wgsl` by `//#include bytes`, or only those of `wgsl/unpack.wgsl` by `//#include unpack`.

mod float8;
mod int4;
mod int8;
mod iq4;
mod kquants;
mod legacy;
mod minifloat;
mod nvfp4;
mod plain;
mod search;

use half::f16;

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
    /// `None` for types that are only read.
    pub(crate) encode: Option<Encoder>,
    /// The decoder for kernels; `None` for types that they do not read.
    pub wgsl: Option<&'static str>,
}

/// How values become bytes. What it appends is a row, padding apart, or blocks where there is no tail.
#[derive(Clone, Copy)]
pub(crate) enum Encoder {
    /// Each row by itself.
    Rows(fn(&[f32], &mut Vec<u8>)),
    /// All rows with one scale, which follows from the largest magnitude of the whole tensor.
    Scaled(fn(&[f32], f32, &mut Vec<u8>)),
}

/// Loads of 8, 16 and 32 bits from a binding of words, for decoders.
pub const WGSL_BYTES: &str = include_str!("wgsl/bytes.wgsl");

/// The bytes of a word, for decoders.
pub const WGSL_UNPACK: &str = include_str!("wgsl/unpack.wgsl");

/// Runs of four elements, for decoders that bring none of their own.
pub const WGSL_FOURS: &str = include_str!("wgsl/fours.wgsl");

impl DType {
    /// The format.
    pub fn format(self) -> Format {
        let families = [
            plain::format,
            float8::format,
            nvfp4::format,
            int8::format,
            int4::format,
            legacy::format,
            kquants::format,
            iq4::format,
        ];
        families
            .into_iter()
            .find_map(|family| family(self))
            .expect("each type is of one family")
    }
}

/// The little-endian f16 at `at`.
fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// The little-endian f32 at `at`.
fn float_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The largest magnitude; numbers that are not one do not count.
pub(crate) fn absmax(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, v| most.max(v.abs()))
}

/// The first element of the largest magnitude.
fn extreme(values: &[f32]) -> f32 {
    let first = values.first().copied().unwrap_or(0.0);
    values
        .iter()
        .fold(first, |most, v| if v.abs() > most.abs() { *v } else { most })
}

/// 1 / `value`, and 0 where that is infinite.
fn inverse(value: f32) -> f32 {
    let inverse = value.recip();
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// A decoder: lines given in brackets, files of `wgsl/`, and the functions that follow from the `load_weight4` in them.
/// `runs` are in the files where it says so.
macro_rules! wgsl {
    ([$($line:expr),*] $($file:literal)+) => {
        wgsl!(runs [$($line),*] $($file)+ "fours")
    };
    (runs [$($line:expr),*] $($file:literal)+) => {
        Some(concat!($($line, "\n",)* $(wgsl!($file), "\n",)+ wgsl!("single")))
    };
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/format/wgsl/", $file, ".wgsl"))
    };
}
use wgsl;
