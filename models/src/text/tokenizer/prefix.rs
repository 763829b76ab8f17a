//! All entries of a list of words that a text starts with.

/// Words in byte order, each with a value.
#[derive(Clone, Debug, Default)]
pub(super) struct PrefixIndex {
    words: Vec<(String, u32)>,
}

impl PrefixIndex {
    /// Builds the index; on a repeated or empty word, gives it back.
    pub(super) fn new(mut words: Vec<(String, u32)>) -> Result<Self, String> {
        words.sort_unstable();
        if let Some(pair) = words.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(pair[0].0.clone());
        }
        if let Some((word, _)) = words.first().filter(|(word, _)| word.is_empty()) {
            return Err(word.clone());
        }
        Ok(Self { words })
    }

    /// Calls `found(length, value)` for each word that `text` starts with, shortest first.
    pub(super) fn matches(&self, text: &[u8], mut found: impl FnMut(usize, u32)) {
        let mut range = self.words.as_slice();
        for (depth, byte) in text.iter().enumerate() {
            let byte_at = |word: &(String, u32)| word.0.as_bytes().get(depth).copied();
            let start = range.partition_point(|word| byte_at(word) < Some(*byte));
            let end = range.partition_point(|word| byte_at(word) <= Some(*byte));
            range = &range[start..end];
            match range.first() {
                None => return,
                Some((word, value)) if word.len() == depth + 1 => found(word.len(), *value),
                Some(_) => {}
            }
        }
    }
}
