//! SentencePiece's compiled normalisation rules: a double-array trie from byte sequences to replacements.
//!
//! Layout (SentencePiece `normalizer.cc`, darts-clone `darts.h`): a little-endian u32 with the trie's size in
//! bytes, the trie's units (u32 each), then the replacements, each ended by a NUL.

use super::error::{Result, TokenizerError};

/// Longest replacement accepted, in bytes (NFKC's longest is 33).
const MAX_REPLACEMENT: usize = 1024;

/// Normalisation rules.
#[derive(Clone, Debug)]
pub(super) struct CharsMap {
    units: Vec<u32>,
    replacements: String,
}

fn has_leaf(unit: u32) -> bool {
    unit >> 8 & 1 == 1
}

/// Distance from a unit to its children, as an exclusive-or.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

/// The byte that leads to a unit; never equal to a byte for units that hold a value.
fn label(unit: u32) -> u32 {
    unit & (1 << 31 | 0xff)
}

fn value(unit: u32) -> usize {
    (unit & !(1 << 31)) as usize
}

impl CharsMap {
    /// Reads and validates the rules: afterwards every rule has a replacement.
    pub(super) fn parse(blob: &[u8]) -> Result<Self> {
        let corrupt = |why: &str| TokenizerError::SentencePiece(format!("normalisation rules: {why}"));
        let (size, rest) = blob.split_first_chunk().ok_or_else(|| corrupt("cut off"))?;
        let size = u32::from_le_bytes(*size) as usize;
        let (trie, replacements) = rest.split_at_checked(size).ok_or_else(|| corrupt("cut off"))?;
        if size == 0 || !size.is_multiple_of(1024) {
            return Err(corrupt("the trie's size is not a multiple of 1024 bytes"));
        }
        let units = trie
            .chunks_exact(4)
            .map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]))
            .collect();
        let replacements =
            String::from_utf8(replacements.to_vec()).map_err(|_| corrupt("a replacement is not UTF-8"))?;
        let rules = Self { units, replacements };
        for (i, &unit) in rules.units.iter().enumerate() {
            let inner = unit >> 31 == 0;
            if inner && has_leaf(unit) && rules.leaf(i).and_then(|start| rules.replacement(start)).is_none() {
                return Err(corrupt("a rule has no replacement"));
            }
        }
        Ok(rules)
    }

    /// Where the replacement of the rule that ends at unit `i` starts.
    fn leaf(&self, i: usize) -> Option<usize> {
        self.units.get(i ^ offset(self.units[i])).map(|&unit| value(unit))
    }

    fn replacement(&self, start: usize) -> Option<&str> {
        let text = self.replacements.get(start..)?;
        let end = text.bytes().take(MAX_REPLACEMENT).position(|byte| byte == 0)?;
        Some(&text[..end])
    }

    /// The longest rule that `text` starts with: its length in bytes and its replacement.
    pub(super) fn longest_match(&self, text: &[u8]) -> Option<(usize, &str)> {
        let mut longest = None;
        let mut node = offset(*self.units.first()?);
        for (i, &byte) in text.iter().enumerate() {
            node ^= usize::from(byte);
            let Some(&unit) = self.units.get(node) else { break };
            if label(unit) != u32::from(byte) {
                break;
            }
            if has_leaf(unit) {
                longest = self.leaf(node).map(|start| (i + 1, start));
            }
            node ^= offset(unit);
        }
        let (length, start) = longest?;
        self.replacement(start).map(|replacement| (length, replacement))
    }
}
