//! Tokenizers: prompts to ids.
//!
//! A SentencePiece unigram model (umT5, T5) comes as a `spiece.model` file, as the `spiece_model` tensor inside a
//! Comfy text-encoder file, or as a `tokenizer.json`; all three give the ids of the SentencePiece library. Other
//! `tokenizer.json` files run in the `tokenizers` library.

mod charsmap;
mod error;
mod json;
mod library;
mod normalizer;
mod prefix;
mod protobuf;
mod sentencepiece;
mod unigram;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use error::{Result, TokenizerError};
use library::Library;
use sentencepiece::SentencePiece;

/// Largest tokenizer file accepted, in bytes (umT5's tokenizer.json has 17 million).
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// A tokenizer, ready to use.
#[derive(Clone, Debug)]
pub struct Tokenizer(Engine);

#[derive(Clone, Debug)]
enum Engine {
    SentencePiece(SentencePiece),
    Library(Library),
}

/// An encoded text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The ids, ended by the end token, not padded.
    pub ids: Vec<u32>,
    /// If the text was cut: how many ids it would have had, end token included.
    pub truncated: Option<usize>,
}

impl Tokenizer {
    /// Loads a tokenizer. A name that ends in `.json` is read as a `tokenizer.json`, any other file as a
    /// SentencePiece model. In a folder, `tokenizer.json` is preferred to `spiece.model`.
    ///
    /// # Errors
    /// [`TokenizerError::File`], naming the file and what is wrong with it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let mut path = path.as_ref().to_path_buf();
        let result = if path.is_dir() {
            match ["tokenizer.json", "spiece.model"]
                .map(|name| path.join(name))
                .into_iter()
                .find(|file| file.is_file())
            {
                Some(file) => {
                    path = file;
                    Self::read(&path)
                }
                None => Err(TokenizerError::Missing),
            }
        } else {
            Self::read(&path)
        };
        result.map_err(|source| TokenizerError::File {
            path,
            source: Box::new(source),
        })
    }

    fn read(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
        {
            Self::from_json_bytes(&bytes)
        } else {
            Self::from_spiece_bytes(&bytes)
        }
    }

    /// Reads a SentencePiece model: a `spiece.model` file's bytes, or the `spiece_model` tensor of a Comfy
    /// text-encoder file.
    ///
    /// # Errors
    /// If it is damaged, too large or not a unigram model.
    pub fn from_spiece_bytes(bytes: &[u8]) -> Result<Self> {
        check_size(bytes)?;
        SentencePiece::parse(bytes).map(|model| Self(Engine::SentencePiece(model)))
    }

    /// Reads a `tokenizer.json`. Padding and truncation set in it are dropped; its post-processor is respected,
    /// and an end token is appended if it does not.
    ///
    /// # Errors
    /// If it is damaged or too large, or asks for something that is not implemented.
    pub fn from_json_bytes(bytes: &[u8]) -> Result<Self> {
        check_size(bytes)?;
        Ok(Self(match json::as_sentencepiece(bytes)? {
            Some(model) => Engine::SentencePiece(model),
            None => Engine::Library(Library::parse(bytes)?),
        }))
    }

    /// The ids of a text, cut to `max_tokens` ids with the end token kept as the last. `max_tokens` below the
    /// number of the tokenizer's own ids around a text (for T5: 1) leaves those only.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`] if the `tokenizers` library fails on the text; SentencePiece models never do.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Encoded> {
        let eos = [self.eos_id()];
        let (before, mut content, after): (&[u32], _, &[u32]) = match &self.0 {
            Engine::SentencePiece(model) => (&[], model.encode(text), &eos),
            Engine::Library(library) => {
                let (before, after) = library.around();
                (before, library.encode(text)?, after)
            }
        };
        let around = before.len() + after.len();
        let total = content.len() + around;
        content.truncate(max_tokens.saturating_sub(around));
        let ids = [before, &content, after].concat();
        let truncated = (ids.len() < total).then_some(total);
        Ok(Encoded { ids, truncated })
    }

    /// The id of the end token.
    pub fn eos_id(&self) -> u32 {
        match &self.0 {
            Engine::SentencePiece(model) => model.eos(),
            Engine::Library(library) => library.eos(),
        }
    }

    /// Number of rows that an embedding needs for every id to have one.
    pub fn vocab_size(&self) -> usize {
        match &self.0 {
            Engine::SentencePiece(model) => model.vocab_size(),
            Engine::Library(library) => library.vocab_size(),
        }
    }
}

fn check_size(bytes: &[u8]) -> Result<()> {
    let size = bytes.len() as u64;
    if size <= MAX_FILE_BYTES {
        Ok(())
    } else {
        Err(TokenizerError::TooLarge {
            bytes: size,
            limit: MAX_FILE_BYTES,
        })
    }
}

#[cfg(test)]
mod tests;
