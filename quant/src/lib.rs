//! Number formats and tensor files of Kinora: memory-mapped readers that trust nothing.
//!
//! This crate knows bytes and numbers. It has never heard of a GPU or of a model.
//!
//! - [`dtype`]: how a number is stored, and how it becomes an `f32`
//! - [`mod@format`]: layout, decoder, encoder and WGSL of each format
//! - [`int8`]: rotation and quantisation of rows, for weights and activations alike
//! - [`tensor`]: a named, shaped run of bytes, borrowed from a file or owned
//! - [`mod@file`]: memory-mapped safetensors (single files, sharded folders) and their writer
//! - [`synth`]: weights made by rule instead of read from a file

#[cfg(target_endian = "big")]
compile_error!("tensor bytes are little-endian on disk and are used in place");

pub mod dtype;
pub mod error;
pub mod file;
pub mod format;
pub mod int8;
mod json;
pub mod synth;
pub mod tensor;

pub use dtype::{DType, Rotation, round_f16, round_f16_slice};
pub use error::Error;
pub use tensor::{Listing, Tensor, TensorInfo, Weights};

/// Result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
