//! What was measured, as plans read it.

use std::collections::BTreeMap;

use super::{Key, Tile};

/// The name of the tile that was fastest, by class. Where it says nothing, or what no operation of that class has, plans
/// keep to their rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(BTreeMap<String, String>);

/// Most entries: more than a device could ever have.
const MOST: usize = 1 << 14;

impl Table {
    /// What was measured of `key`.
    pub fn get(&self, key: &Key) -> Option<Tile> {
        let name = self.0.get(&key.to_string())?;
        key.operation.tiles().into_iter().find(|tile| tile.name() == name)
    }

    /// Takes up a measurement.
    pub fn insert(&mut self, key: Key, tile: Tile) {
        self.0.insert(key.to_string(), tile.name().to_owned());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes up all of `other`.
    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.clone());
    }

    /// Its words: class and tile.
    pub(super) fn words(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The table of these words.
    pub(super) fn from_words(words: BTreeMap<String, String>) -> Self {
        Self(words.into_iter().take(MOST).collect())
    }
}

/// What a plan chose for a class of shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The class.
    pub key: Key,
    /// The tile.
    pub tile: Tile,
    /// Whether the table said so, and not the rule.
    pub measured: bool,
    /// Multiply-adds times two of all operations of the class.
    pub work: u64,
}
