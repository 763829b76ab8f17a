//! `--profile`: where the time went.

use std::collections::BTreeMap;
use std::time::Duration;

use kinora_graph::{Cost, OpTime};

/// Prints one line per kind of operation, the slowest first, to standard error.
pub(crate) fn print(times: &[OpTime]) {
    let mut kinds: BTreeMap<&str, (Duration, Cost, usize)> = BTreeMap::new();
    for time in times {
        let entry = kinds.entry(time.op).or_default();
        entry.0 += time.time;
        entry.1 += time.cost;
        entry.2 += 1;
    }
    let total: Duration = kinds.values().map(|k| k.0).sum();
    let mut rows: Vec<_> = kinds.into_iter().collect();
    rows.sort_by_key(|(_, (time, ..))| std::cmp::Reverse(*time));
    eprintln!(
        "{:<14} {:>7} {:>10} {:>6} {:>10} {:>9}",
        "operation", "count", "ms", "%", "GFLOP/s", "GB/s"
    );
    for (op, (time, cost, count)) in rows {
        let seconds = time.as_secs_f64().max(1e-9);
        eprintln!(
            "{op:<14} {count:>7} {:>10.1} {:>6.1} {:>10.2} {:>9.2}",
            seconds * 1e3,
            100.0 * seconds / total.as_secs_f64().max(1e-9),
            cost.flops as f64 / seconds / 1e9,
            cost.bytes as f64 / seconds / 1e9
        );
    }
}
