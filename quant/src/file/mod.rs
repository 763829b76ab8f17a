//! Files of named tensors, mapped into memory, and their writer.
//!
//! - [`header`]: the rules of a safetensors header, as a pure function of bytes (what fuzzers call)
//! - [`safetensors`]: one mapped file
//! - [`sharded`]: an index and the files that it spreads over
//! - [`gguf`]: GGUF files
//! - [`records`]: files whose quantised weights have scales in tensors of their own
//! - [`naming`]: several files as one, and files under other names
//! - [`writer`]: safetensors and GGUF files, written whole or not at all
//! - [`fingerprint`](mod@fingerprint): which file it was, for the metadata of a clip
//!
//! # Mapped files must not change
//! Files are opened read-only and mapped, not copied. One that another program shortens or rewrites in place while it
//! is mapped gives zeros or other weights, and [`Weights::check`](crate::Weights::check) says so: whoever computes with
//! borrowed bytes asks it before the result is used. (For the missing pages of a shortened file there is a handler of
//! SIGBUS; it passes faults elsewhere on.) Programs that replace files by renaming a new one over them, as [`writer`]
//! does, are safe.

mod contents;
#[cfg(unix)]
mod fault;
pub mod fingerprint;
pub mod gguf;
pub mod header;
mod map;
pub mod naming;
mod open;
pub mod records;
pub mod safetensors;
pub mod sharded;
mod sniff;
pub mod writer;

pub use fingerprint::fingerprint;
pub use gguf::{GgufFile, GgufHeader, GgufValue, parse_gguf};
pub use header::{Entry, Header, parse_header};
pub use naming::{Merged, Renamed};
pub use open::{Source, open, resolve};
pub use records::{Records, parse_layer_config, parse_quantization_metadata};
pub use safetensors::SafetensorsFile;
pub use sharded::{Sharded, parse_index};
pub use writer::{Writer, save};
