//! A SentencePiece unigram model: normaliser and vocabulary, from a `spiece.model` file.
//!
//! Field numbers are those of `sentencepiece_model.proto` (SentencePiece 0.2).

use super::charsmap::CharsMap;
use super::error::{Result, TokenizerError};
use super::normalizer::Normalizer;
use super::prefix::PrefixIndex;
use super::protobuf::{Field, fields};
use super::unigram::{Piece, PieceKind, Unigram};

/// Most vocabulary entries accepted.
pub(super) const MAX_PIECES: usize = 1 << 21;

/// A text model that gives the ids of the SentencePiece library.
#[derive(Clone, Debug)]
pub(super) struct SentencePiece {
    normalizer: Normalizer,
    unigram: Unigram,
    eos: u32,
}

/// The fields of a model file that matter, with the format's defaults.
struct Model {
    pieces: Vec<Piece>,
    model_type: u64,
    byte_fallback: bool,
    eos_piece: String,
    normalizer: Normalizer,
}

impl SentencePiece {
    /// Puts a model together; user-defined pieces are known to the normaliser, too.
    pub(super) fn new(
        mut normalizer: Normalizer,
        pieces: Vec<Piece>,
        byte_fallback: bool,
        eos_piece: &str,
    ) -> Result<Self> {
        let symbols = pieces.iter().filter(|piece| piece.kind == PieceKind::UserDefined);
        normalizer.symbols = PrefixIndex::new(symbols.map(|piece| (piece.text.clone(), 0)).collect())
            .map_err(|_| TokenizerError::SentencePiece("a user-defined symbol is empty or occurs twice".into()))?;
        let unigram = Unigram::new(pieces, byte_fallback)?;
        let eos = unigram.control(eos_piece).ok_or_else(|| {
            TokenizerError::SentencePiece(format!("it has no end symbol `{}`", eos_piece.escape_debug()))
        })?;
        Ok(Self {
            normalizer,
            unigram,
            eos,
        })
    }

    /// Reads a `ModelProto`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let model = Model::parse(bytes)?;
        const UNIGRAM: u64 = 1;
        if model.model_type != UNIGRAM {
            let name = ["?", "unigram", "BPE", "word", "char"]
                .get(model.model_type as usize)
                .unwrap_or(&"?");
            return Err(TokenizerError::Unsupported(format!(
                "SentencePiece model type {} ({name}); only unigram models are",
                model.model_type
            )));
        }
        Self::new(model.normalizer, model.pieces, model.byte_fallback, &model.eos_piece)
    }

    /// The ids of a text, without an end symbol.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        self.unigram.encode(&self.normalizer.normalize(text))
    }

    /// The id of the end symbol.
    pub(super) fn eos(&self) -> u32 {
        self.eos
    }

    /// Number of ids.
    pub(super) fn vocab_size(&self) -> usize {
        self.unigram.len()
    }
}

impl Model {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let mut model = Self {
            pieces: Vec::new(),
            model_type: 1,
            byte_fallback: false,
            eos_piece: "</s>".into(),
            normalizer: Normalizer {
                rules: None,
                symbols: PrefixIndex::default(),
                add_dummy_prefix: true,
                remove_extra_whitespaces: true,
                escape_whitespaces: true,
                space_as_suffix: false,
            },
        };
        for field in fields(bytes) {
            match field? {
                (1, piece) => model.pieces.push(parse_piece(piece)?),
                (2, trainer) => model.read_trainer(trainer)?,
                (3, normalizer) => model.read_normalizer(normalizer)?,
                _ => {}
            }
            if model.pieces.len() > MAX_PIECES {
                return Err(TokenizerError::SentencePiece(format!("over {MAX_PIECES} pieces")));
            }
        }
        Ok(model)
    }

    fn read_trainer(&mut self, trainer: Field<'_>) -> Result<()> {
        for field in fields(trainer.bytes()?) {
            match field? {
                (3, value) => self.model_type = value.integer()?,
                (24, value) => self.normalizer.space_as_suffix = value.boolean()?,
                (35, value) => self.byte_fallback = value.boolean()?,
                (47, value) => self.eos_piece = value.text()?.into(),
                _ => {}
            }
        }
        Ok(())
    }

    fn read_normalizer(&mut self, normalizer: Field<'_>) -> Result<()> {
        for field in fields(normalizer.bytes()?) {
            match field? {
                (2, value) => {
                    let blob = value.bytes()?;
                    self.normalizer.rules = if blob.is_empty() {
                        None
                    } else {
                        Some(CharsMap::parse(blob)?)
                    };
                }
                (3, value) => self.normalizer.add_dummy_prefix = value.boolean()?,
                (4, value) => self.normalizer.remove_extra_whitespaces = value.boolean()?,
                (5, value) => self.normalizer.escape_whitespaces = value.boolean()?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn parse_piece(piece: Field<'_>) -> Result<Piece> {
    let mut parsed = Piece {
        text: String::new(),
        score: 0.0,
        kind: PieceKind::Normal,
    };
    for field in fields(piece.bytes()?) {
        match field? {
            (1, value) => parsed.text = value.text()?.into(),
            (2, value) => parsed.score = value.float()?,
            (3, value) => {
                parsed.kind = match value.integer()? {
                    1 => PieceKind::Normal,
                    2 => PieceKind::Unknown,
                    3 => PieceKind::Control,
                    4 => PieceKind::UserDefined,
                    5 => PieceKind::Unused,
                    6 => PieceKind::Byte,
                    other => {
                        return Err(TokenizerError::SentencePiece(format!(
                            "piece type {other} does not exist"
                        )));
                    }
                };
            }
            _ => {}
        }
    }
    Ok(parsed)
}
