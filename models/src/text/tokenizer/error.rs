//! Errors of the tokenizers.

use std::path::PathBuf;

/// `Result` with a [`TokenizerError`].
pub type Result<T, E = TokenizerError> = std::result::Result<T, E>;

/// Why a tokenizer could not be loaded or a text not encoded.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// Something about this file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What about it.
        source: Box<TokenizerError>,
    },
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A folder without a tokenizer file.
    #[error("the folder has neither `tokenizer.json` nor `spiece.model`: download one of them into it")]
    Missing,
    /// A file larger than any tokenizer.
    #[error("{bytes} bytes are too many for a tokenizer (limit {limit})")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A damaged SentencePiece model.
    #[error("damaged SentencePiece model: {0}")]
    SentencePiece(String),
    /// A damaged tokenizer.json.
    #[error("damaged tokenizer.json: {0}")]
    Json(String),
    /// A well-formed file that asks for something that is not implemented.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// A text that the tokenizer could not encode.
    #[error("the text cannot be encoded: {0}")]
    Encode(String),
}
