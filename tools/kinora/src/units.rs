//! Numbers for people.

/// `17 B`, `4.2 MB`: decimal units, as disks and adapters are sold.
pub(crate) fn bytes(count: u64) -> String {
    scaled(count, ["B", "kB", "MB", "GB", "TB", "PB"])
}

/// `17 B`, `4.2 GiB`: binary units, as memory is sold whatever its label says.
pub(crate) fn memory(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 99.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `4 s`, `12 min`, `3.5 h`, `2.1 days`: a duration that is only estimated.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "a second".to_owned(),
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86400.0),
    }
}

/// `17`, `4.2 M`: a count of things.
pub(crate) fn count(count: u64) -> String {
    scaled(count, ["", "thousand", "M", "G", "T", "P"])
        .trim_end()
        .to_owned()
}

fn scaled(count: u64, units: [&str; 6]) -> String {
    let mut value = count as f64;
    let mut unit = 0;
    // Whatever would be shown as four digits goes to the next unit.
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {}", units[unit])
}

/// A text out of a file, fit for a terminal: control and text-direction characters are shown as escapes.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let directional = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || directional {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        let sizes = [0, 999, 1000, 4_210_000, 28_600_000_000, 999_600, u64::MAX].map(bytes);
        assert_eq!(
            sizes,
            ["0 B", "999 B", "1.00 kB", "4.21 MB", "28.6 GB", "1.00 MB", "18447 PB"]
        );
        assert_eq!(count(14_288_000_000), "14.3 G");
        assert_eq!(count(12), "12");
    }

    #[test]
    fn a_name_cannot_rewrite_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jé\u{202e}"), "a\\u{1b}[2Jé\\u{202e}");
    }
}
