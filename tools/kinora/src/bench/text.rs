//! Results as lines.

use super::report::{Ceiling, Row};

/// A number with three digits and a unit's prefix: `1.50 T`, `312 G`.
pub(super) fn scaled(value: f64) -> String {
    let (scale, prefix) = match value {
        v if v >= 1e12 => (1e12, "T"),
        v if v >= 1e9 => (1e9, "G"),
        v if v >= 1e6 => (1e6, "M"),
        v if v >= 1e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let value = value / scale;
    let digits = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {prefix}")
}

/// Seconds: `1.23 s`, `45.6 ms`, `789 µs`, `12 ns`.
pub(super) fn seconds(value: f64) -> String {
    let (scale, unit) = match value {
        v if v >= 1.0 => (1.0, "s"),
        v if v >= 1e-3 => (1e3, "ms"),
        v if v >= 1e-6 => (1e6, "µs"),
        _ => (1e9, "ns"),
    };
    let value = value * scale;
    let digits = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

/// The rate that says most of a row: operations where it has many for a byte, else bytes.
pub(super) fn rate(row: &Row) -> String {
    let rate = match row.intensity() > 8.0 {
        true => row.flops_per_second().map(|rate| (rate, "op/s")),
        false => row.bytes_per_second().map(|rate| (rate, "B/s")),
    };
    rate.map_or_else(String::new, |(rate, unit)| format!("{}{unit}", scaled(rate)))
}

/// A ceiling's line.
pub(super) fn ceiling(ceiling: &Ceiling) -> String {
    let value = match ceiling.unit.as_str() {
        "s" => seconds(ceiling.value),
        unit => format!("{}{unit}", scaled(ceiling.value)),
    };
    format!("ceiling {:<16} {value}", ceiling.name)
}

/// A row's line.
pub(super) fn row(row: &Row) -> String {
    let Some(measured) = &row.measured else {
        let why = row.error.as_deref().unwrap_or("no result").replace('\n', " ");
        return format!("{}: not measured: {why}", row.id);
    };
    let times = &measured.seconds;
    let half = 50.0 * (times.upper_quartile - times.lower_quartile) / times.median;
    let limit = measured.limit.as_ref().map_or_else(String::new, |limit| {
        format!(", {:.0} % of {}", 100.0 * limit.fraction, limit.ceiling)
    });
    // What passes through the device's memory is timed as a whole.
    let host = match measured.host_share() {
        share if share > 0.0 && !measured.parts.is_empty() => format!(", host {:.2} %", 100.0 * share),
        _ => String::new(),
    };
    let check = match (measured.check.passed, measured.check.compared) {
        (false, _) => format!(", WRONG (error {:.1e})", measured.check.error),
        (true, 0) => String::new(),
        (true, _) => ", right".to_owned(),
    };
    let method = measured
        .check
        .method_error
        .map_or_else(String::new, |error| format!(", {error:.1e} from float"));
    format!(
        "{}: {} ± {half:.0} % of {}, {}{limit}{host}{check}{method}",
        row.id,
        seconds(times.median),
        times.samples,
        rate(row)
    )
}
