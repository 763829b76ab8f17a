//! Tensors that lie in one mapped file.

use std::collections::BTreeMap;

use super::header::Entry;
use super::map::Map;
use crate::{Error, Listing, Result, Tensor, TensorInfo, Weights};

/// A mapped file and where its tensors are, whatever the format.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) map: Map,
    /// Their ranges lie inside the mapping.
    pub(super) entries: BTreeMap<String, Entry>,
}

impl Weights for Contents {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.entries.get(name)?.info()
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        let entry = self.entries.get(name).ok_or_else(|| self.missing(name))?;
        let info = entry.info().ok_or_else(|| self.missing(name))?;
        // The header's check has put the range inside the mapping, so it fits in a `usize`.
        let bytes = &self.map[entry.range.start as usize..entry.range.end as usize];
        Ok(Tensor {
            info,
            data: bytes.into(),
        })
    }

    fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    fn origin(&self) -> String {
        format!("file {}", self.map.path().display())
    }

    fn missing(&self, name: &str) -> Error {
        let (origin, name) = (self.origin(), name.to_owned());
        match self.entries.get(&name) {
            Some(entry) if entry.dtype.is_none() => Error::UnsupportedType {
                origin,
                name,
                type_name: entry.type_name.clone(),
            },
            _ => Error::MissingTensor { origin, name },
        }
    }

    fn check(&self) -> Result<()> {
        self.map.check()
    }

    fn release(&self, name: &str) {
        if let Some(entry) = self.entries.get(name) {
            self.map.release(entry.range.start as usize..entry.range.end as usize);
        }
    }

    fn listing(&self, name: &str) -> Option<Listing> {
        self.entries.get(name).map(Entry::listing)
    }
}
