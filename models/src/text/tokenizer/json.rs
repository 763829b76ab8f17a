//! Reading of `tokenizer.json`.
//!
//! A file that describes a SentencePiece unigram model (T5, umT5) is read as one, so that it gives the same ids as
//! the `spiece.model` it was made from. Every other file goes to the `tokenizers` library as it is.
//!
//! Where the library itself would differ from SentencePiece on such a file: it applies the normalisation rules to
//! whole graphemes or single characters instead of the longest match; it finds special tokens such as `</s>` inside
//! the prompt; it needs a `byte_fallback` entry that files converted before 2023 lack (here the presence of the 256
//! byte pieces decides); and it drops white space other than the space character where it splits at any.

use serde::Deserialize;
use serde_json::Value;

use super::charsmap::CharsMap;
use super::error::{Result, TokenizerError};
use super::normalizer::{Normalizer, SPACE};
use super::prefix::PrefixIndex;
use super::sentencepiece::{MAX_PIECES, SentencePiece};
use super::unigram::{Piece, PieceKind, byte_of};

/// What the file says, as far as it tells a SentencePiece model from others.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: usize,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Model {
    unk_id: Option<usize>,
    vocab: Vec<(String, f64)>,
}

/// The SentencePiece model that a `tokenizer.json` describes, or `None` if it describes something else.
///
/// # Errors
/// If it does describe one, and that one is damaged.
pub(super) fn as_sentencepiece(bytes: &[u8]) -> Result<Option<SentencePiece>> {
    // Whatever does not parse as this is not a unigram model; the library will say what is wrong with it.
    let Ok(file) = serde_json::from_slice::<File>(bytes) else {
        return Ok(None);
    };
    if !(splits_like_sentencepiece(&file.pre_tokenizer) && only_appends_eos(&file.post_processor)) {
        return Ok(None);
    }
    let Some(rules) = compiled_rules(&file.normalizer) else {
        return Ok(None);
    };
    let (Some(unknown), true) = (file.model.unk_id, file.model.vocab.len() <= MAX_PIECES) else {
        return Ok(None);
    };
    let normalizer = Normalizer {
        rules: if rules.is_empty() {
            None
        } else {
            Some(CharsMap::parse(&decode_base64(rules)?)?)
        },
        symbols: PrefixIndex::default(),
        add_dummy_prefix: true,
        remove_extra_whitespaces: true,
        escape_whitespaces: true,
        space_as_suffix: false,
    };
    let byte_fallback = file
        .model
        .vocab
        .iter()
        .filter(|(text, _)| byte_of(text).is_some())
        .count()
        == 256;
    let mut pieces: Vec<Piece> = file
        .model
        .vocab
        .into_iter()
        .map(|(text, score)| {
            let kind = if byte_fallback && byte_of(&text).is_some() {
                PieceKind::Byte
            } else if text.starts_with("<extra_id_") {
                PieceKind::Control
            } else {
                PieceKind::Normal
            };
            Piece {
                text,
                score: score as f32,
                kind,
            }
        })
        .collect();
    for token in &file.added_tokens {
        // Special tokens beyond the vocabulary never come out of a text.
        let Some(piece) = pieces.get_mut(token.id) else {
            if token.special { continue } else { return Ok(None) }
        };
        if piece.text != token.content {
            return Err(TokenizerError::Json(format!(
                "added token {} is not what the vocabulary has there",
                token.id
            )));
        }
        piece.kind = if token.special {
            PieceKind::Control
        } else {
            PieceKind::UserDefined
        };
    }
    match pieces.get_mut(unknown) {
        Some(piece) => piece.kind = PieceKind::Unknown,
        None => {
            return Err(TokenizerError::Json(format!(
                "its unknown token {unknown} is outside the vocabulary"
            )));
        }
    }
    SentencePiece::new(normalizer, pieces, byte_fallback, "</s>").map(Some)
}

fn kind(value: &Value) -> &str {
    value["type"].as_str().unwrap_or_default()
}

/// The parts of a `Sequence`, or the value alone.
fn parts<'a>(value: &'a Value, list: &str) -> &'a [Value] {
    match &value[list] {
        Value::Array(parts) if kind(value) == "Sequence" => parts,
        _ => std::slice::from_ref(value),
    }
}

/// The base64 rules of a normaliser that does what SentencePiece's does: rules, then spaces trimmed and joined.
fn compiled_rules(normalizer: &Value) -> Option<&str> {
    let (first, rest) = parts(normalizer, "normalizers").split_first()?;
    let trims = |part: &Value| match kind(part) {
        "Strip" => true,
        "Replace" => part["pattern"]["Regex"] == " {2,}" && (part["content"] == SPACE || part["content"] == " "),
        _ => false,
    };
    (kind(first) == "Precompiled" && rest.iter().all(trims)).then(|| first["precompiled_charsmap"].as_str())?
}

/// `Metaspace` with a space in front, alone or after `WhitespaceSplit`.
fn splits_like_sentencepiece(pre_tokenizer: &Value) -> bool {
    let metaspace = |part: &Value| {
        kind(part) == "Metaspace"
            && part["replacement"] == SPACE
            && match part["prepend_scheme"].as_str() {
                Some(scheme) => scheme == "always" || scheme == "first",
                None => part["add_prefix_space"] == true,
            }
    };
    match parts(pre_tokenizer, "pretokenizers") {
        [one] => metaspace(one),
        [first, second] => kind(first) == "WhitespaceSplit" && metaspace(second),
        _ => false,
    }
}

/// No post-processor, or a template that puts `</s>` behind the text.
fn only_appends_eos(post_processor: &Value) -> bool {
    let template = |parts: &[Value]| match parts {
        [text, end] => text["Sequence"]["id"] == "A" && end["SpecialToken"]["id"] == "</s>",
        _ => false,
    };
    post_processor.is_null()
        || (kind(post_processor) == "TemplateProcessing"
            && post_processor["single"].as_array().is_some_and(|parts| template(parts)))
}

/// Whether a normaliser has compiled SentencePiece rules anywhere (the library trusts them blindly).
pub(super) fn has_compiled_rules(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key("precompiled_charsmap") || map.values().any(has_compiled_rules),
        Value::Array(list) => list.iter().any(has_compiled_rules),
        _ => false,
    }
}

/// Standard base64 with padding.
fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let corrupt = || TokenizerError::Json("its normalisation rules are not base64".into());
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return Err(corrupt());
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for &digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return Err(corrupt()),
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Ok(bytes)
}
