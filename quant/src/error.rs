//! What can be wrong with a file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::DType;

/// An error of this crate: says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor that a model needs is not in the file.
    #[error(
        "{origin}: there is no tensor `{name}`; the file is incomplete or belongs to another model (`kinora inspect` lists what it holds)"
    )]
    MissingTensor {
        /// File or folder.
        origin: String,
        /// Name that was asked for.
        name: String,
    },
    /// A tensor is there, but its type cannot be read.
    #[error(
        "{origin}: tensor `{name}` is stored as {type_name}, which Kinora cannot read yet; use a version of the file with {} weights",
        DType::names_of(DType::is_float)
    )]
    UnsupportedType {
        /// File or folder.
        origin: String,
        /// Name of the tensor, as stored.
        name: String,
        /// What the file calls the type.
        type_name: String,
    },
    /// The operating system refused something.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was tried, as an infinitive ("read it").
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file breaks the rules of its format.
    #[error("{}: not a usable {kind}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format that was expected.
        kind: &'static str,
        /// Which rule is broken and where.
        reason: String,
    },
    /// A pickled PyTorch file, which is refused unread.
    #[error(
        "{}: this is a pickled PyTorch file; loading one can execute code that its author put there, so Kinora never does. Use the .safetensors version of this model (usually in the same download folder, or on the same page under \"Files\"), or convert it in a Python environment that you trust: torch.load(FILE, weights_only=True), then safetensors.torch.save_file",
        path.display()
    )]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// A mapped file is not what it was when it was opened.
    #[error(
        "{}: the file changed while it was in use ({reason}), so what was read of it cannot be trusted; start again once nothing writes to it",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// What shows it.
        reason: String,
    },
    /// A quantised tensor whose format is not read, or whose scales are not what the format asks for.
    #[error("{origin}: quantised tensor `{name}`: {reason}")]
    Quantised {
        /// File or folder.
        origin: String,
        /// Name of the tensor, as stored.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A folder does not say which of its files is meant.
    #[error("{}: {reason}", path.display())]
    Choice {
        /// The folder.
        path: PathBuf,
        /// What it holds and what to do.
        reason: String,
    },
    /// Two tensors would have one name.
    #[error("tensor `{name}` is there twice: in {first} and in {second}; leave one of them out")]
    Duplicate {
        /// The name in question.
        name: String,
        /// Where it is.
        first: String,
        /// Where it is, too.
        second: String,
    },
    /// No conversion between these types.
    #[error("a tensor of type {from} cannot be converted to {to}")]
    Conversion {
        /// Type of the tensor.
        from: DType,
        /// What was asked for.
        to: &'static str,
    },
    /// An integer does not fit.
    #[error("element {index} is {value}, which is not a valid unsigned 32-bit number")]
    Value {
        /// Flat row-major index of the element.
        index: usize,
        /// Its value.
        value: i64,
    },
    /// A tensor's bytes do not match its description.
    #[error("a {dtype} tensor of shape {shape:?} does not take {got} bytes")]
    Length {
        /// Element type.
        dtype: DType,
        /// Dimensions.
        shape: Vec<usize>,
        /// Bytes that were given.
        got: usize,
    },
    /// Rows that a tensor does not have.
    #[error("rows {range:?} of a tensor of shape {shape:?} do not exist")]
    Rows {
        /// Rows that were asked for.
        range: Range<usize>,
        /// Dimensions of the tensor.
        shape: Vec<usize>,
    },
    /// A tensor that this machine's memory cannot hold.
    #[error("{origin}: no memory for tensor `{name}` ({bytes} bytes)")]
    Memory {
        /// File or rule.
        origin: String,
        /// Name of the tensor.
        name: String,
        /// Its size.
        bytes: usize,
    },
}

impl Error {
    /// For `map_err`: an [`Error::Io`] about `path`.
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            action,
            source,
        }
    }
}

/// A string out of an untrusted file, fit for a terminal: at most 160 characters, and no control or
/// text-direction characters, which could rewrite the line that they are printed on.
pub(crate) fn shown(text: &str) -> String {
    const LIMIT: usize = 160;
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == LIMIT {
            out.push('…');
            break;
        }
        let directional = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || directional {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}
