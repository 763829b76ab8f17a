//! SentencePiece's unigram language model: the best segmentation by the Viterbi algorithm
//! (`unigram_model.cc`, `EncodeOptimized`), in the source's float precision so that near-ties fall the same way.

use super::error::{Result, TokenizerError};
use super::prefix::PrefixIndex;

/// What a vocabulary entry is for (values of `ModelProto.SentencePiece.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// A vocabulary entry; its id is its position.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: PieceKind,
}

/// Score distance of an unknown character from the least likely piece.
const UNKNOWN_PENALTY: f32 = 10.0;

/// The model.
#[derive(Clone, Debug)]
pub(super) struct Unigram {
    pieces: Vec<Piece>,
    index: PrefixIndex,
    unknown: u32,
    /// Ids of the 256 byte pieces, if unknown characters are spelled in bytes.
    bytes: Option<Box<[u32; 256]>>,
    min_score: f32,
    max_score: f32,
}

/// The best way to reach a byte position: last piece, its start, and the sum of scores.
#[derive(Clone, Copy)]
struct Node {
    id: u32,
    start: usize,
    score: f32,
}

impl Unigram {
    /// Builds the model.
    pub(super) fn new(pieces: Vec<Piece>, byte_fallback: bool) -> Result<Self> {
        let corrupt = |why: String| Err(TokenizerError::SentencePiece(why));
        let of_kind = |kind| pieces.iter().enumerate().filter(move |(_, piece)| piece.kind == kind);
        let mut unknowns = of_kind(PieceKind::Unknown);
        let (Some((unknown, _)), None) = (unknowns.next(), unknowns.next()) else {
            return corrupt("it must have one unknown piece".into());
        };
        if let Some(piece) = pieces.iter().find(|piece| !piece.score.is_finite()) {
            return corrupt(format!("piece `{}` has no finite score", shown(&piece.text)));
        }
        let words = pieces.iter().enumerate().filter_map(|(id, piece)| match piece.kind {
            PieceKind::Normal | PieceKind::UserDefined | PieceKind::Unused => Some((piece.text.clone(), id as u32)),
            PieceKind::Unknown | PieceKind::Control | PieceKind::Byte => None,
        });
        let index = match PrefixIndex::new(words.collect()) {
            Ok(index) => index,
            Err(word) => return corrupt(format!("piece `{}` is empty or occurs twice", shown(&word))),
        };
        let bytes = if byte_fallback { Some(byte_ids(&pieces)?) } else { None };
        let scores = of_kind(PieceKind::Normal).map(|(_, piece)| piece.score);
        // The source starts the maximum at the smallest positive float.
        let (min_score, max_score) = scores.fold((f32::MAX, f32::MIN_POSITIVE), |(min, max), score| {
            (min.min(score), max.max(score))
        });
        Ok(Self {
            unknown: unknown as u32,
            index,
            bytes,
            min_score,
            max_score,
            pieces,
        })
    }

    /// Number of ids.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The id of a control symbol.
    pub(super) fn control(&self, text: &str) -> Option<u32> {
        let is_it = |piece: &Piece| piece.kind == PieceKind::Control && piece.text == text;
        self.pieces.iter().position(is_it).map(|id| id as u32)
    }

    /// The ids of a normalised text. Runs of unknown characters become one id, or their bytes.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        for (id, piece) in self.best_path(text) {
            match &self.bytes {
                Some(bytes) if id == self.unknown => ids.extend(piece.bytes().map(|byte| bytes[usize::from(byte)])),
                None if id == self.unknown && ids.last() == Some(&id) => {}
                _ => ids.push(id),
            }
        }
        ids
    }

    fn best_path<'a>(&self, text: &'a str) -> Vec<(u32, &'a str)> {
        let mut best: Vec<Option<Node>> = vec![None; text.len() + 1];
        for (start, char) in text.char_indices() {
            let so_far = best[start].map_or(0.0, |node| node.score);
            let mut offer = |length: usize, id: u32, score: f32| {
                let score = score + so_far;
                let node = &mut best[start + length];
                if node.is_none_or(|node| score > node.score) {
                    *node = Some(Node { id, start, score });
                }
            };
            let mut char_is_known = false;
            self.index.matches(&text.as_bytes()[start..], |length, id| {
                let piece = &self.pieces[id as usize];
                let score = match piece.kind {
                    PieceKind::Unused => return,
                    // User-defined symbols always win.
                    PieceKind::UserDefined => length as f32 * self.max_score - 0.1,
                    _ => piece.score,
                };
                offer(length, id, score);
                char_is_known |= length == char.len_utf8();
            });
            if !char_is_known {
                offer(char.len_utf8(), self.unknown, self.min_score - UNKNOWN_PENALTY);
            }
        }
        let mut path = Vec::new();
        let mut end = text.len();
        // Every position that a path ends at was reached from its node's start, down to 0.
        while let Some(node) = best[end].filter(|_| end > 0) {
            path.push((node.id, &text[node.start..end]));
            end = node.start;
        }
        path.reverse();
        path
    }
}

/// The ids of `<0x00>` to `<0xFF>`.
fn byte_ids(pieces: &[Piece]) -> Result<Box<[u32; 256]>> {
    let mut ids = Box::new([u32::MAX; 256]);
    for (id, piece) in pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| piece.kind == PieceKind::Byte)
    {
        if let Some(byte) = byte_of(&piece.text) {
            ids[usize::from(byte)] = id as u32;
        }
    }
    if ids.contains(&u32::MAX) {
        return Err(TokenizerError::SentencePiece(
            "it spells unknown characters in bytes but lacks byte pieces".into(),
        ));
    }
    Ok(ids)
}

/// The byte that a piece such as `<0x0A>` stands for.
pub(super) fn byte_of(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 || digits.bytes().any(|digit| !matches!(digit, b'0'..=b'9' | b'A'..=b'F')) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// At most 40 characters of a piece, for messages.
fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}
