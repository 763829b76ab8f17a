//! Prompt cleaning, as diffusers' Wan pipelines and the original repository do it.
//!
//! Source: diffusers 0.42 `pipeline_wan.py` `prompt_clean`; Wan 2.2 `wan/modules/tokenizers.py`: ftfy's `fix_text`
//! (here its port `plsfix`), `html.unescape` twice, outer white space stripped, inner runs of it joined.
//!
//! The port differs from ftfy 6.3 on rare texts: it also mends Cyrillic mojibake of the kind `faГ§ade`, reads
//! numeric references to control characters (`&#150;`) before it looks for mojibake, and drops the full-width macron.

use std::panic::catch_unwind;

use super::html::unescape;

/// A prompt as the text encoder's tokenizer should see it: mojibake mended, curly quotes straightened, full-width
/// forms and ligatures made plain, HTML references decoded, white space collapsed, Unicode in NFC.
pub fn prompt_clean(text: &str) -> String {
    let text = unescape(&unescape(&fix_text(text)));
    text.split(is_space)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// ftfy's `fix_text`: line by line; from the first line with a `<` on, which may be true HTML, HTML references are
/// left to the decoding that follows.
fn fix_text(text: &str) -> String {
    let mut html = false;
    let lines = text.split_inclusive('\n').map(|line| {
        html |= line.contains('<');
        fix_line(&remove_terminal_escapes(line), html)
    });
    lines.collect()
}

/// Mends one line. A line that the port cannot handle stays as it is.
fn fix_line(line: &str, html: bool) -> String {
    // The port decodes references in every line; in HTML a neutral character stands in for their ampersands.
    let stand_in = ['^', '~', '|']
        .into_iter()
        .find(|&char| html && !line.contains([char, full_width(char)]));
    let guarded = stand_in.map_or_else(
        || line.to_owned(),
        |char| line.replace('&', char.encode_utf8(&mut [0; 4])),
    );
    match catch_unwind(|| plsfix::fix_text(&guarded, None)) {
        Ok(fixed) => stand_in.map_or_else(|| fixed.clone(), |char| fixed.replace(char, "&")),
        Err(_) => {
            tracing::warn!("the prompt's encoding could not be checked; it is used as it is");
            line.to_owned()
        }
    }
}

/// The full-width form of an ASCII character, which becomes that character when a line is mended.
fn full_width(char: char) -> char {
    char::from_u32(u32::from(char) + 0xfee0).unwrap_or(char)
}

/// Drops terminal escapes such as `ESC [36;44m` (the port means to, but misspells the escape character).
fn remove_terminal_escapes(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let command = part.trim_start_matches(|char: char| char.is_ascii_digit() || char == ';');
        match command.strip_prefix(|char: char| char.is_ascii_alphabetic()) {
            Some(rest) => out.push_str(rest),
            None => out.extend(["\u{1b}[", part]),
        }
    }
    out
}

/// Python's `str.isspace` of one character.
fn is_space(char: char) -> bool {
    char.is_whitespace() || matches!(char, '\u{1c}'..='\u{1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_cleaned_as_diffusers_does() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/prompt_clean.json");
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let wrong: Vec<_> = rows
            .iter()
            .map(|row| (row["text"].as_str().unwrap(), row["clean"].as_str().unwrap()))
            .map(|(text, clean)| (text, prompt_clean(text), clean))
            .filter(|(_, actual, clean)| actual != clean)
            .collect();
        assert!(wrong.is_empty(), "(text, actual, expected): {wrong:?}");
    }
}
