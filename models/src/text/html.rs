//! HTML character references, decoded as Python's `html.unescape` does (HTML5 rules, also without semicolons).

/// Names that also count without their semicolon, and as a prefix of a longer word.
#[rustfmt::skip]
const WITHOUT_SEMICOLON: [&str; 106] = [
    "AElig", "AMP", "Aacute", "Acirc", "Agrave", "Aring", "Atilde", "Auml", "COPY", "Ccedil", "ETH", "Eacute",
    "Ecirc", "Egrave", "Euml", "GT", "Iacute", "Icirc", "Igrave", "Iuml", "LT", "Ntilde", "Oacute", "Ocirc",
    "Ograve", "Oslash", "Otilde", "Ouml", "QUOT", "REG", "THORN", "Uacute", "Ucirc", "Ugrave", "Uuml", "Yacute",
    "aacute", "acirc", "acute", "aelig", "agrave", "amp", "aring", "atilde", "auml", "brvbar", "ccedil", "cedil",
    "cent", "copy", "curren", "deg", "divide", "eacute", "ecirc", "egrave", "eth", "euml", "frac12", "frac14",
    "frac34", "gt", "iacute", "icirc", "iexcl", "igrave", "iquest", "iuml", "laquo", "lt", "macr", "micro",
    "middot", "nbsp", "not", "ntilde", "oacute", "ocirc", "ograve", "ordf", "ordm", "oslash", "otilde", "ouml",
    "para", "plusmn", "pound", "quot", "raquo", "reg", "sect", "shy", "sup1", "sup2", "sup3", "szlig", "thorn",
    "times", "uacute", "ucirc", "ugrave", "uml", "uuml", "yacute", "yen", "yuml",
];

/// Meaning of the numeric references 0x80 to 0x9f: Windows-1252.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', //
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Longest name looked at, in characters.
const MAX_NAME: usize = 32;

/// Replaces every character reference once.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        rest = match rest.strip_prefix('#') {
            Some(number) => numeric(number, &mut out).unwrap_or_else(|| literal(rest, &mut out)),
            None => named(rest, &mut out).unwrap_or_else(|| literal(rest, &mut out)),
        };
    }
    out.push_str(rest);
    out
}

/// A lone ampersand.
fn literal<'a>(rest: &'a str, out: &mut String) -> &'a str {
    out.push('&');
    rest
}

/// Decodes what follows `&#`; gives back the text behind it.
fn numeric<'a>(text: &'a str, out: &mut String) -> Option<&'a str> {
    let (digits, radix) = match text.strip_prefix(['x', 'X']) {
        Some(hex) => (hex, 16),
        None => (text, 10),
    };
    let end = digits
        .find(|digit: char| !digit.is_digit(radix))
        .unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    let number = digits[..end].chars().filter_map(|digit| digit.to_digit(radix));
    let number = number.fold(0_u32, |number, digit| {
        number.saturating_mul(radix).saturating_add(digit)
    });
    match number {
        0 => out.push('\u{fffd}'),
        0x80..=0x9f => out.push(WINDOWS_1252[number as usize - 0x80]),
        // Control characters and non-characters vanish.
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => {}
        _ if number & 0xfffe == 0xfffe && number <= 0x10_ffff => {}
        _ => out.push(char::from_u32(number).unwrap_or('\u{fffd}')),
    }
    let rest = &digits[end..];
    Some(rest.strip_prefix(';').unwrap_or(rest))
}

/// Decodes what follows `&`; gives back the text behind it.
fn named<'a>(text: &'a str, out: &mut String) -> Option<&'a str> {
    let stop = |&(_, char): &(usize, char)| matches!(char, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';');
    let end = text.char_indices().take(MAX_NAME).find(stop).map(|(end, _)| end);
    let end = end.unwrap_or_else(|| text.char_indices().nth(MAX_NAME).map_or(text.len(), |(end, _)| end));
    let (name, rest) = text.split_at(end);
    if let (Some(value), Some(rest)) = (entity(name), rest.strip_prefix(';')) {
        out.push_str(value);
        return Some(rest);
    }
    let prefix = (2..=name.len()).rev().filter_map(|end| name.get(..end));
    let (prefix, value) = prefix
        .filter(|prefix| WITHOUT_SEMICOLON.contains(prefix))
        .find_map(|prefix| entity(prefix).map(|value| (prefix, value)))?;
    out.push_str(value);
    Some(&text[prefix.len()..])
}

/// The characters of an HTML5 entity, by its name without the semicolon.
fn entity(name: &str) -> Option<&'static str> {
    let table = &html_escape::NAMED_ENTITIES;
    table
        .binary_search_by(|(known, _)| (*known).cmp(name.as_bytes()))
        .ok()
        .map(|at| table[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_as_python_decodes_them() {
        for (text, expected) in [
            ("plain & simple", "plain & simple"),
            ("&lt;b&gt; &amp;amp; &quot;&#39;&#x27;", "<b> &amp; \"''"),
            ("&copy 2020 &notit; &notin; &amp", "© 2020 ¬it; ∉ &"),
            ("&eacutex &Eacute &EACUTE;", "éx É &EACUTE;"),
            (
                "&#0; &#x80; &#150 &#1; &#xD800; &#x110000; &#99999999999999;",
                "\u{fffd} € –  \u{fffd} \u{fffd} \u{fffd}",
            ),
            ("&# &#; &#x; &#xZ; &; &", "&# &#; &#x; &#xZ; &; &"),
            ("&NotEqualTilde; &fjlig;", "≂\u{338} fj"),
            ("&gt&lt&&amp;", "><&&"),
            ("&日本語; &ampé", "&日本語; &é"),
            ("&CounterClockwiseContourIntegral;", "∳"),
            ("&#x1F600 face &#13;", "😀 face \r"),
        ] {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }
}
