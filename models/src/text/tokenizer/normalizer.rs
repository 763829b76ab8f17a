//! SentencePiece's text normalisation (`normalizer.cc`, version 0.2): the compiled rules by longest match, spaces
//! trimmed and joined, a space in front, spaces written as `▁`.

use super::charsmap::CharsMap;
use super::prefix::PrefixIndex;

/// How SentencePiece writes a space.
pub(super) const SPACE: &str = "\u{2581}";

/// The normaliser of one model.
#[derive(Clone, Debug)]
pub(super) struct Normalizer {
    /// Compiled rules; none: the text stays as it is.
    pub(super) rules: Option<CharsMap>,
    /// User-defined symbols, which the rules leave alone.
    pub(super) symbols: PrefixIndex,
    /// Put a space at the text's start (or end, see `space_as_suffix`).
    pub(super) add_dummy_prefix: bool,
    /// Drop spaces at both ends and join runs of them.
    pub(super) remove_extra_whitespaces: bool,
    /// Write spaces as `▁`.
    pub(super) escape_whitespaces: bool,
    /// The space of a word belongs to its end.
    pub(super) space_as_suffix: bool,
}

impl Normalizer {
    /// The normalised text.
    pub(super) fn normalize(&self, text: &str) -> String {
        let mut rest = 0;
        if self.remove_extra_whitespaces {
            while rest < text.len() {
                let (length, piece) = self.next(text, rest);
                if piece != " " {
                    break;
                }
                rest += length;
            }
        }
        let mut out = String::with_capacity(2 * (text.len() - rest) + SPACE.len());
        if rest == text.len() {
            return out;
        }
        let space = if self.escape_whitespaces { SPACE } else { " " };
        if self.add_dummy_prefix && !self.space_as_suffix {
            out.push_str(space);
        }
        let mut after_space = self.remove_extra_whitespaces;
        while rest < text.len() {
            let (length, mut piece) = self.next(text, rest);
            if after_space {
                piece = piece.trim_start_matches(' ');
            }
            if !piece.is_empty() {
                for (i, word) in piece.split(' ').enumerate() {
                    if i > 0 {
                        out.push_str(space);
                    }
                    out.push_str(word);
                }
                after_space = piece.ends_with(' ');
            }
            rest += length;
            after_space &= self.remove_extra_whitespaces;
        }
        if self.remove_extra_whitespaces {
            out.truncate(out.trim_end_matches(space).len());
        }
        if self.add_dummy_prefix && self.space_as_suffix {
            out.push_str(space);
        }
        out
    }

    /// What stands at byte `at` (below the text's length): how many bytes it takes and what they become.
    fn next<'a>(&'a self, text: &'a str, at: usize) -> (usize, &'a str) {
        let rest = &text.as_bytes()[at..];
        let mut symbol = 0;
        self.symbols.matches(rest, |length, _| symbol = length);
        if let Some(symbol) = text.get(at..at + symbol).filter(|symbol| !symbol.is_empty()) {
            return (symbol.len(), symbol);
        }
        if let Some(rule) = self.rules.as_ref().and_then(|rules| rules.longest_match(rest)) {
            return rule;
        }
        match text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(char) => (char.len_utf8(), &text[at..at + char.len_utf8()]),
            // A rule has ended inside a character.
            None => (1, "\u{fffd}"),
        }
    }
}
