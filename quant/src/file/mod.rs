//! Files of named tensors, mapped into memory, and their writer.
//!
//! - [`header`]: the rules of a safetensors header, as a pure function of bytes (what fuzzers call)
//! - [`safetensors`]: one mapped file
//! - [`sharded`]: an index and the files that it spreads over
//! - [`naming`]: several files as one, and files under other names
//! - [`writer`]: safetensors files, written whole or not at all
//! - [`fingerprint`](mod@fingerprint): which file it was, for the metadata of a clip
//!
//! # Mapped files must not change
//! Files are opened read-only and mapped, not copied. A file that another program shortens while it is mapped
//! ends this process (SIGBUS on Unix), and one that is rewritten in place changes the weights of a running
//! render. Programs that replace files by renaming a new one over them, as [`writer`] does, are safe.

pub mod fingerprint;
pub mod header;
pub mod naming;
mod open;
pub mod safetensors;
pub mod sharded;
pub mod writer;

pub use fingerprint::fingerprint;
pub use header::{Entry, Header, parse_header};
pub use naming::{Merged, Renamed};
pub use open::{Source, open, resolve};
pub use safetensors::SafetensorsFile;
pub use sharded::{Sharded, parse_index};
pub use writer::{Writer, save};
