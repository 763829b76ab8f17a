//! Tokenizers that the `tokenizers` library runs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use super::error::{Result, TokenizerError};
use super::json::has_compiled_rules;

/// A tokenizer of the library, with the ids that its post-processor puts around a text.
#[derive(Clone, Debug)]
pub(super) struct Library {
    tokenizer: Box<tokenizers::Tokenizer>,
    before: Vec<u32>,
    after: Vec<u32>,
    eos: u32,
}

impl Library {
    /// Reads a `tokenizer.json`; its padding and truncation are dropped.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let damaged = |why: String| TokenizerError::Json(why);
        let json: Value = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if has_compiled_rules(&json["normalizer"]) {
            return Err(TokenizerError::Unsupported(
                "compiled normalisation rules in a tokenizer.json that is not a SentencePiece unigram model".into(),
            ));
        }
        let mut tokenizer =
            guarded(|| tokenizers::Tokenizer::from_bytes(bytes))?.map_err(|e| damaged(e.to_string()))?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| damaged(e.to_string()))?;

        let mut library = Self {
            tokenizer: Box::new(tokenizer),
            before: Vec::new(),
            after: Vec::new(),
            eos: 0,
        };
        let (bare, whole) = (library.ids("a", false)?, library.ids("a", true)?);
        let start = (0..=whole.len() - bare.len().min(whole.len())).find(|&start| whole[start..].starts_with(&bare));
        let start =
            start.ok_or_else(|| TokenizerError::Unsupported("a post-processor that changes the text".into()))?;
        library.before = whole[..start].to_vec();
        library.after = whole[start + bare.len()..].to_vec();
        if library.after.is_empty() {
            let eos = library.tokenizer.token_to_id("</s>");
            library.after.extend(eos);
        }
        library.eos = *library
            .after
            .last()
            .ok_or_else(|| damaged("it has no end token".into()))?;
        Ok(library)
    }

    /// The ids of a text, without the post-processor's.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, false)
    }

    /// The post-processor's ids before a text, and those after it, of which the last is the end token.
    pub(super) fn around(&self) -> (&[u32], &[u32]) {
        (&self.before, &self.after)
    }

    /// The id of the end token.
    pub(super) fn eos(&self) -> u32 {
        self.eos
    }

    /// One more than the largest id.
    pub(super) fn vocab_size(&self) -> usize {
        self.tokenizer
            .get_vocab(true)
            .into_values()
            .max()
            .map_or(0, |id| id as usize + 1)
    }

    fn ids(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = guarded(|| self.tokenizer.encode(text, special))?;
        encoding
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|e| TokenizerError::Encode(e.to_string()))
    }
}

/// Runs library code that may panic on a hostile file.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| TokenizerError::Json("the tokenizers library gave up on it".into()))
}
