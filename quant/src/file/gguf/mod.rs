//! GGUF files: the reader and the writer's layout.
//!
//! - [`header`](parse_gguf): the rules, as a pure function of bytes (what fuzzers call)
//! - [`Value`]: metadata, decoded when asked for
//! - `spiece`: the tokenizer of a text encoder's file as a SentencePiece model

mod cursor;
mod header;
mod spiece;
mod types;
mod value;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

pub use header::{GgufHeader, parse_gguf};
pub use value::{Elements, Kind, Place, Value};
pub use write::GgufValue;
pub(super) use write::layout;

use super::contents::Contents;
use super::map::Map;
use super::sniff;
use crate::{DType, Error, Listing, Result, Tensor, TensorInfo, Weights};

/// Longest text that [`Weights::metadata`] gives, in bytes.
const MAX_TEXT: usize = 4096;

/// The tensor as which a tokenizer inside the metadata appears, as in ComfyUI's files.
const SPIECE: &str = "spiece_model";

/// A GGUF file, mapped read-only. Its header has been checked; its tensors are read when they are used.
///
/// A T5 tokenizer in its metadata appears as the tensor `spiece_model`: a SentencePiece model as U8.
#[derive(Debug)]
pub struct GgufFile {
    contents: Contents,
    metadata: BTreeMap<String, Place>,
    spiece: Option<Tensor<'static>>,
}

impl GgufFile {
    /// Maps the file at `path` and checks its header.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] for another format, for a header that breaks a rule of [`parse_gguf`] and
    /// for a tokenizer whose parts do not belong together; [`Error::Changed`] for a file that changes meanwhile.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let malformed = |reason| Error::Malformed {
            path: path.to_owned(),
            kind: "GGUF file",
            reason,
        };
        let (file, kind) = sniff::open(path)?;
        if kind != sniff::Kind::Gguf {
            return Err(malformed("it does not begin with `GGUF`".to_owned()));
        }
        let map = Map::new(path, file)?;
        let read = parse_gguf(&map, map.len() as u64).and_then(|header| {
            let spiece = spiece::rebuild(|key| Value::new(&map, header.metadata.get(key)?))?;
            Ok((header, spiece))
        });
        map.check()?;
        let (GgufHeader { metadata, entries }, spiece) = read.map_err(malformed)?;
        let spiece = spiece
            .filter(|_| !entries.contains_key(SPIECE))
            .map(|bytes| Tensor::new(DType::U8, &[bytes.len()], bytes))
            .transpose()?;
        Ok(Self {
            contents: Contents { map, entries },
            metadata,
            spiece,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.contents.map.path()
    }

    /// A value of the metadata.
    pub fn value(&self, key: &str) -> Option<Value<'_>> {
        Value::new(&self.contents.map, self.metadata.get(key)?)
    }

    /// The keys of the metadata, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.metadata.keys().map(String::as_str)
    }

    fn made(&self, name: &str) -> Option<&Tensor<'static>> {
        self.spiece.as_ref().filter(|_| name == SPIECE)
    }
}

impl Weights for GgufFile {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        match self.made(name) {
            Some(made) => Some(made.info.clone()),
            None => self.contents.info(name),
        }
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        match self.made(name) {
            Some(made) => Ok(made.borrow()),
            None => self.contents.tensor(name),
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.contents.names();
        if self.spiece.is_some() {
            names.push(SPIECE.to_owned());
            names.sort();
        }
        names
    }

    fn origin(&self) -> String {
        self.contents.origin()
    }

    fn missing(&self, name: &str) -> Error {
        self.contents.missing(name)
    }

    fn check(&self) -> Result<()> {
        self.contents.check()
    }

    fn release(&self, name: &str) {
        self.contents.release(name);
    }

    fn listing(&self, name: &str) -> Option<Listing> {
        match self.made(name) {
            Some(made) => Some(made.info.clone().into()),
            None => self.contents.listing(name),
        }
    }

    /// Numbers, booleans and texts of at most 4096 bytes, as text.
    fn metadata(&self) -> BTreeMap<String, String> {
        let short = self.metadata.iter().filter(|(_, place)| place.range.len() <= MAX_TEXT);
        short
            .filter_map(|(key, place)| Some((key.clone(), Value::new(&self.contents.map, place)?.to_text()?)))
            .collect()
    }
}
