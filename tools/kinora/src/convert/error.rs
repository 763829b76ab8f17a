//! What can go wrong while a file of weights is made.

use std::path::PathBuf;

/// An error of [`crate::convert`]: says what, where, why and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A type that cannot be written.
    #[error("`{name}` is no type of weights; there are {known}")]
    UnknownType {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The file's extension and the type do not go together.
    #[error("{}: {dtype} weights are kept in {wanted} files; give the file that extension", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
        /// Name of the type.
        dtype: &'static str,
        /// The extensions that would do.
        wanted: &'static str,
    },
    /// The file is there.
    #[error("{}: it is there already; --force replaces it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The source is quantised already.
    #[error(
        "{origin}: tensor `{tensor}` is {dtype} already, and quantising twice loses more than once; start from an F16, BF16 or F32 file, or insist with --requantize"
    )]
    Quantised {
        /// The source.
        origin: String,
        /// The first such tensor.
        tensor: String,
        /// Its type.
        dtype: &'static str,
    },
    /// The source is nothing that can be made smaller.
    #[error("{origin}: {why}")]
    Source {
        /// The source.
        origin: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The disk is too small.
    #[error("{}: {needed} bytes are needed and {free} are free", path.display())]
    Space {
        /// The file.
        path: PathBuf,
        /// Bytes of the file.
        needed: u64,
        /// Free bytes.
        free: u64,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    Weights(#[from] kinora_quant::Error),
    /// The disk refused something.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The user stopped it.
    #[error("stopped; the unfinished file is removed")]
    Cancelled,
}
