//! Two reports, row by row.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::report::Report;
use super::spread::Spread;
use super::text::seconds;

/// A table of how many times faster each row of `after` is than the same of `before`, the largest change first, and
/// what only one of them has.
pub fn compare(before: &Report, after: &Report) -> String {
    let mut out = String::new();
    let say = |report: &Report| format!("{}, {} ({})", report.device.name, report.device.driver, report.tool);
    line(&mut out, format_args!("A  {}", say(before)));
    line(&mut out, format_args!("B  {}", say(after)));
    if before.options.precision != after.options.precision {
        let (a, b) = (&before.options.precision, &after.options.precision);
        line(&mut out, format_args!("A was measured with precision {a}, B with {b}"));
    }
    let (a, b) = (times(before), times(after));
    let mut pairs: Vec<(&str, &Spread, &Spread)> = a
        .iter()
        .filter_map(|(id, spread)| Some((*id, *spread, *b.get(id)?)))
        .collect();
    let change = |(_, a, b): &(&str, &Spread, &Spread)| (a.median / b.median).ln().abs();
    pairs.sort_by(|x, y| change(y).total_cmp(&change(x)));
    line(&mut out, format_args!("{:>9} {:>9} {:>8}", "A", "B", "A / B"));
    for (id, a, b) in &pairs {
        // Where the middle halves of the samples meet, the difference may be chance.
        let unsure = a.lower_quartile <= b.upper_quartile && b.lower_quartile <= a.upper_quartile;
        let sign = if unsure { "~" } else { " " };
        let (before, after) = (seconds(a.median), seconds(b.median));
        let ratio = a.median / b.median;
        line(&mut out, format_args!("{before:>9} {after:>9} {ratio:>7.2}{sign} {id}"));
    }
    for (only, side, other) in [("A", &a, &b), ("B", &b, &a)] {
        for id in side.keys().filter(|id| !other.contains_key(*id)) {
            line(&mut out, format_args!("only in {only}: {id}"));
        }
    }
    if pairs.is_empty() {
        line(&mut out, format_args!("no row is in both"));
    }
    out
}

/// Rows by their ids.
fn times(report: &Report) -> BTreeMap<&str, &Spread> {
    let rows = report.rows.iter();
    rows.filter_map(|row| Some((row.id.as_str(), &row.measured.as_ref()?.seconds)))
        .collect()
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes all");
}
