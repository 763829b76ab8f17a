//! The tokenizer of a T5 text encoder, rebuilt from a GGUF file's metadata as a SentencePiece model.
//!
//! llama.cpp's converter takes `spiece.model` apart; this puts it together again, as ComfyUI-GGUF does. Field numbers
//! are those of `sentencepiece_model.proto`.

use super::value::{Elements, Value};

/// Most pieces, and longest rules for characters, that are taken.
const MAX_PIECES: u64 = 1 << 21;
const MAX_RULES: u64 = 1 << 24;

/// SentencePiece's numbers.
const UNIGRAM: u64 = 1;
const BYTE_PIECE: i128 = 6;

/// The model in the metadata that `get` looks up; `None` where there is none of this kind.
///
/// # Errors
/// In words: lists that are missing or of different lengths, values of the wrong type.
pub(super) fn rebuild<'a>(get: impl Fn(&str) -> Option<Value<'a>>) -> Result<Option<Vec<u8>>, String> {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    if get(&key("model")).and_then(Value::text) != Some("t5") {
        return Ok(None);
    }
    let wrong = |name: &str| format!("`{}` is missing or not what a tokenizer needs", key(name));
    let list = |name: &str| -> Result<Elements<'a>, String> {
        let elements = get(&key(name)).and_then(Value::elements);
        elements.filter(|e| e.left() <= MAX_PIECES).ok_or_else(|| wrong(name))
    };
    let (tokens, scores, types) = (list("tokens")?, list("scores")?, list("token_type")?);
    if tokens.left() != scores.left() || tokens.left() != types.left() {
        return Err("the lists of its tokenizer have different lengths".to_owned());
    }
    let end = get(&key("eos_token_id")).and_then(Value::integer);
    let (mut model, mut end_piece, mut bytes) = (Vec::new(), None, false);
    for (id, ((token, score), kind)) in (0i128..).zip(tokens.zip(scores).zip(types)) {
        let token = token.text_bytes().ok_or_else(|| wrong("tokens"))?;
        let score = score.float().ok_or_else(|| wrong("scores"))?;
        let kind = kind.integer().ok_or_else(|| wrong("token_type"))?;
        if end == Some(id) {
            end_piece = Some(token);
        }
        bytes |= kind == BYTE_PIECE;
        let mut piece = Vec::new();
        put_bytes(&mut piece, 1, token);
        put_float(&mut piece, 2, score as f32);
        put_integer(&mut piece, 3, u64::try_from(kind).map_err(|_| wrong("token_type"))?);
        put_bytes(&mut model, 1, &piece);
    }
    let mut trainer = Vec::new();
    put_integer(&mut trainer, 3, UNIGRAM);
    put_integer(&mut trainer, 35, u64::from(bytes));
    if let Some(piece) = end_piece {
        put_bytes(&mut trainer, 47, piece);
    }
    put_bytes(&mut model, 2, &trainer);
    let mut normalizer = Vec::new();
    if let Some(rules) = get(&key("precompiled_charsmap")) {
        let rules = rules.elements().filter(|e| e.left() <= MAX_RULES);
        let bytes: Option<Vec<u8>> = rules
            .ok_or_else(|| wrong("precompiled_charsmap"))?
            // Some converters write signed bytes.
            .map(|b| b.integer().filter(|b| (-128..256).contains(b)).map(|b| b as u8))
            .collect();
        put_bytes(&mut normalizer, 2, &bytes.ok_or_else(|| wrong("precompiled_charsmap"))?);
    }
    for (field, name) in [(3, "add_space_prefix"), (4, "remove_extra_whitespaces")] {
        if let Some(value) = get(&key(name)) {
            let value = value.integer().ok_or_else(|| wrong(name))?;
            put_integer(&mut normalizer, field, u64::from(value != 0));
        }
    }
    put_bytes(&mut model, 3, &normalizer);
    Ok(Some(model))
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_integer(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

fn put_float(out: &mut Vec<u8>, field: u64, value: f32) {
    put_varint(out, field << 3 | 5);
    out.extend(value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}
