//! What was measured, as plans read it.

use std::collections::BTreeMap;

use kinora_shaders::linear::Tile;

use super::Key;

/// The tile that was fastest, by class. Where it says nothing, plans keep to their rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(BTreeMap<String, Tile>);

/// Most entries: more than a device could ever have.
const MOST: usize = 1 << 14;

impl Table {
    /// What was measured of `key`.
    pub fn get(&self, key: &Key) -> Option<Tile> {
        self.0.get(&key.to_string()).copied()
    }

    /// Takes up a measurement.
    pub fn insert(&mut self, key: Key, tile: Tile) {
        self.0.insert(key.to_string(), tile);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes up all of `other`.
    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.clone());
    }

    /// Its words: class and tile.
    pub(super) fn words(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(k, t)| (k.clone(), t.name().to_owned())).collect()
    }

    /// The table of these words; those that name no tile with rows and columns are left out.
    pub(super) fn from_words(words: BTreeMap<String, String>) -> Self {
        let tile = |name: &str| Tile::MANY.into_iter().find(|t| t.name() == name);
        let entries = words.into_iter().filter_map(|(key, name)| Some((key, tile(&name)?)));
        Self(entries.take(MOST).collect())
    }
}

/// What a plan chose for a class of products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The class.
    pub key: Key,
    /// The tile.
    pub tile: Tile,
    /// Whether the table said so, and not the rule.
    pub measured: bool,
    /// Multiply-adds times two of all products of the class.
    pub work: u64,
}
