//! One safetensors file, mapped into memory.

use std::collections::BTreeMap;
use std::path::Path;

use super::contents::Contents;
use super::header::{Entry, Header, parse_header};
use super::map::Map;
use super::sniff;
use crate::{Error, Listing, Result, Tensor, TensorInfo, Weights};

/// The name of the format in error messages.
const KIND: &str = "safetensors file";

/// A safetensors file, mapped read-only. Its header has been checked; its tensors are read when they are used.
/// See the [module documentation](super) on files that change while they are mapped.
#[derive(Debug)]
pub struct SafetensorsFile {
    contents: Contents,
    metadata: BTreeMap<String, String>,
}

impl SafetensorsFile {
    /// Maps the file at `path` and checks its header.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Pickle`] for a pickled file; [`Error::Malformed`] for another format, and for a header
    /// that breaks a rule of [`parse_header`]; [`Error::Changed`] for a file that changes meanwhile.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let malformed = |reason| Error::Malformed {
            path: path.to_owned(),
            kind: KIND,
            reason,
        };
        let (file, kind) = sniff::open(path)?;
        if kind != sniff::Kind::Safetensors {
            return Err(malformed("it is a GGUF file".to_owned()));
        }
        let map = Map::new(path, file)?;
        let header = parse_header(&map, map.len() as u64);
        map.check()?;
        let Header { metadata, entries } = header.map_err(malformed)?;
        Ok(Self {
            contents: Contents { map, entries },
            metadata,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.contents.map.path()
    }

    /// The tensors of the file by name, with the ranges of their bytes.
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.contents.entries
    }
}

impl Weights for SafetensorsFile {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.contents.info(name)
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.contents.tensor(name)
    }

    fn names(&self) -> Vec<String> {
        self.contents.names()
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
        self.contents.listing(name)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.clone()
    }
}
