//! `--profile`: where the time went.

use std::collections::BTreeMap;
use std::time::Duration;

use kinora_graph::{Cost, OpTime};

/// Operations of one kind together.
pub(crate) struct Kind {
    pub(crate) op: &'static str,
    pub(crate) count: usize,
    pub(crate) time: Duration,
    pub(crate) cost: Cost,
}

/// One entry per kind of operation, the slowest first.
pub(crate) fn by_kind(times: &[OpTime]) -> Vec<Kind> {
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    for &OpTime { op, time, cost, .. } in times {
        let entry = kinds.entry(op).or_insert(Kind {
            op,
            count: 0,
            time: Duration::ZERO,
            cost: Cost::default(),
        });
        entry.count += 1;
        entry.time += time;
        entry.cost += cost;
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.time));
    kinds
}

/// Prints one line per kind of operation to standard error, and what the processor took to encode and submit them.
pub(crate) fn print(times: &[OpTime], host: Duration) {
    let kinds = by_kind(times);
    let total: Duration = kinds.iter().map(|kind| kind.time).sum();
    eprintln!(
        "{:<14} {:>7} {:>10} {:>6} {:>10} {:>9}",
        "operation", "count", "ms", "%", "GFLOP/s", "GB/s"
    );
    for Kind { op, count, time, cost } in kinds {
        let seconds = time.as_secs_f64().max(1e-9);
        eprintln!(
            "{op:<14} {count:>7} {:>10.1} {:>6.1} {:>10.2} {:>9.2}",
            seconds * 1e3,
            100.0 * seconds / total.as_secs_f64().max(1e-9),
            cost.flops as f64 / seconds / 1e9,
            cost.bytes as f64 / seconds / 1e9
        );
    }
    if !host.is_zero() {
        let share = 100.0 * host.as_secs_f64() / total.as_secs_f64().max(1e-9);
        eprintln!(
            "the processor took {:.1} ms, {share:.2} % of that, to encode and submit it, the clock of each dispatch included",
            1e3 * host.as_secs_f64()
        );
    }
}
