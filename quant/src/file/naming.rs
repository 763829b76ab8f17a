//! Other names for the same tensors, and several files as one.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::{Error, Listing, Result, Tensor, TensorInfo, Weights};

/// Weights under other names: a one-to-one map from the names that a model uses to those that a file uses.
/// Tensors without a place in the map are not visible.
#[derive(Debug)]
pub struct Renamed<W> {
    inner: W,
    /// Canonical name to stored name.
    map: BTreeMap<String, String>,
}

impl<W: Weights> Renamed<W> {
    /// `inner` seen through `map`, from canonical to stored names.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] for a stored name that `inner` does not have, [`Error::Duplicate`] for one that two
    /// canonical names lead to.
    pub fn new(inner: W, map: BTreeMap<String, String>) -> Result<Self> {
        let mut seen = BTreeMap::new();
        for (canonical, stored) in &map {
            if inner.listing(stored).is_none() {
                return Err(inner.missing(stored));
            }
            if let Some(first) = seen.insert(stored, canonical) {
                return Err(duplicate(stored, first, canonical));
            }
        }
        Ok(Self { inner, map })
    }

    /// `inner` with each stored name turned into a canonical one by `rule`; `None` hides the tensor.
    ///
    /// # Errors
    /// [`Error::Duplicate`] where the rule gives two tensors one name.
    pub fn by_rule(inner: W, rule: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut map = BTreeMap::new();
        for stored in inner.names() {
            if let Some(canonical) = rule(&stored)
                && let Some(first) = map.insert(canonical.clone(), stored.clone())
            {
                return Err(duplicate(&canonical, &first, &stored));
            }
        }
        Ok(Self { inner, map })
    }

    /// The name that the file uses for `canonical`.
    pub fn stored(&self, canonical: &str) -> Option<&str> {
        self.map.get(canonical).map(String::as_str)
    }

    /// The weights under their own names.
    pub fn inner(&self) -> &W {
        &self.inner
    }
}

fn duplicate(name: &str, first: &str, second: &str) -> Error {
    Error::Duplicate {
        name: name.to_owned(),
        first: format!("`{first}`"),
        second: format!("`{second}`"),
    }
}

impl<W: Weights> Weights for Renamed<W> {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.inner.info(self.stored(name)?)
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.inner.tensor(self.stored(name).ok_or_else(|| self.missing(name))?)
    }

    fn names(&self) -> Vec<String> {
        self.map.keys().cloned().collect()
    }

    fn origin(&self) -> String {
        self.inner.origin()
    }

    fn missing(&self, name: &str) -> Error {
        match self.stored(name) {
            Some(stored) => self.inner.missing(stored),
            None => Error::MissingTensor {
                origin: self.origin(),
                name: name.to_owned(),
            },
        }
    }

    fn rows(&self, name: &str, range: Range<usize>) -> Result<Tensor<'_>> {
        self.inner
            .rows(self.stored(name).ok_or_else(|| self.missing(name))?, range)
    }

    fn read_rows(&self, name: &str, range: Range<usize>, out: &mut [u8]) -> Result<()> {
        let stored = self.stored(name).ok_or_else(|| self.missing(name))?;
        self.inner.read_rows(stored, range, out)
    }

    fn check(&self) -> Result<()> {
        self.inner.check()
    }

    fn release(&self, name: &str) {
        if let Some(stored) = self.stored(name) {
            self.inner.release(stored);
        }
    }

    fn listing(&self, name: &str) -> Option<Listing> {
        self.inner.listing(self.stored(name)?)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.inner.metadata()
    }
}

/// Several weights as one.
pub struct Merged {
    parts: Vec<Box<dyn Weights>>,
    /// Tensor name to position in `parts`.
    map: BTreeMap<String, usize>,
}

impl Merged {
    /// All tensors of `parts`.
    ///
    /// # Errors
    /// [`Error::Duplicate`] for a name that two parts have, with where they come from.
    pub fn new(parts: Vec<Box<dyn Weights>>) -> Result<Self> {
        let mut map = BTreeMap::new();
        for (place, part) in parts.iter().enumerate() {
            for name in part.names() {
                if let Some(first) = map.insert(name.clone(), place) {
                    return Err(Error::Duplicate {
                        name,
                        first: parts[first].origin(),
                        second: part.origin(),
                    });
                }
            }
        }
        Ok(Self { parts, map })
    }

    fn part(&self, name: &str) -> Option<&dyn Weights> {
        self.map.get(name).map(|place| &*self.parts[*place])
    }
}

impl Weights for Merged {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.part(name)?.info(name)
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.part(name).ok_or_else(|| self.missing(name))?.tensor(name)
    }

    fn names(&self) -> Vec<String> {
        self.map.keys().cloned().collect()
    }

    fn origin(&self) -> String {
        let origins: Vec<_> = self.parts.iter().map(Weights::origin).collect();
        origins.join(" + ")
    }

    fn missing(&self, name: &str) -> Error {
        match self.part(name) {
            Some(part) => part.missing(name),
            None => Error::MissingTensor {
                origin: self.origin(),
                name: name.to_owned(),
            },
        }
    }

    fn rows(&self, name: &str, range: Range<usize>) -> Result<Tensor<'_>> {
        self.part(name).ok_or_else(|| self.missing(name))?.rows(name, range)
    }

    fn read_rows(&self, name: &str, range: Range<usize>, out: &mut [u8]) -> Result<()> {
        let part = self.part(name).ok_or_else(|| self.missing(name))?;
        part.read_rows(name, range, out)
    }

    fn check(&self) -> Result<()> {
        self.parts.iter().try_for_each(Weights::check)
    }

    fn release(&self, name: &str) {
        if let Some(part) = self.part(name) {
            part.release(name);
        }
    }

    fn listing(&self, name: &str) -> Option<Listing> {
        self.part(name)?.listing(name)
    }

    /// The remarks of all parts; where two differ on a key, the first part's.
    fn metadata(&self) -> BTreeMap<String, String> {
        self.parts.iter().rev().flat_map(Weights::metadata).collect()
    }
}
