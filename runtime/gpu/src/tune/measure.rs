//! Tiles on the clock.

use kinora_graph::Result;

use super::sample::Sample;
use super::{Choice, Tile};
use crate::device::Device;

/// Seconds that each candidate is measured for, where a run takes less.
const EACH: f64 = 0.02;

/// Times that candidates take turns: what else the machine does meets all of them.
const ROUNDS: usize = 5;

/// The part of the rule's time that another tile must not exceed: less is noise.
const GAIN: f64 = 0.97;

/// How far results of attention may lie apart, over the largest of them: two roundings of probabilities to f16.
const APART: f32 = 1.0 / 1024.0;

/// The fastest tile for a class, the one of `choice` among equals; `None` where operands would take more than `memory`.
pub(super) fn fastest(device: &Device, choice: &Choice, memory: Option<u64>) -> Result<Option<Tile>> {
    let Choice { key, tile: rule, .. } = *choice;
    let sample = Sample::new(key, device.capabilities().speed);
    if memory.is_some_and(|memory| sample.size() > memory) {
        return Ok(None);
    }
    let operation = key.operation;
    let others = operation.tiles().into_iter();
    let others = others.filter(|tile| *tile != rule && !tile.in_lanes());
    let tiles = std::iter::once(rule).chain(others);
    let grid = |tile| sample.workgroups(operation, tile);
    let mut probe = device.probe(&operation.shader(rule), &sample.params, grid(rule), &sample.operands())?;
    let mut expected = None;
    // Tile, repetitions, least seconds.
    let mut candidates = Vec::new();
    for tile in tiles {
        if let Err(error) = probe.set(&operation.shader(tile), grid(tile)) {
            // Plans may do without it, unless it is the rule's.
            if tile == rule {
                return Err(error);
            }
            tracing::warn!("{key}: the tile `{}` is not used: {error}", tile.name());
            continue;
        }
        let first = probe.run(1)?.device;
        let found = probe.read(sample.bytes.len() - 1)?;
        let expected = expected.get_or_insert_with(|| found.clone());
        let same = match operation.is_exact() {
            _ if tile == rule => true,
            true => *expected == found,
            false => apart(expected, &found) <= APART,
        };
        if !same {
            let (tile, rule) = (tile.name(), rule.name());
            tracing::warn!(
                "{key}: on this device the tile `{tile}` gives other numbers than `{rule}`, and is not used"
            );
            continue;
        }
        let repeats = (EACH / ROUNDS as f64 / first.max(1e-6)) as usize;
        candidates.push((tile, repeats.clamp(1, 64), f64::INFINITY));
    }
    let mut rounds = 0;
    let mut taken = 0.0;
    while rounds < ROUNDS && (rounds == 0 || taken < EACH * candidates.len() as f64) {
        for (tile, repeats, least) in &mut candidates {
            probe.set(&operation.shader(*tile), grid(*tile))?;
            let seconds = probe.run(*repeats)?.device;
            taken += seconds;
            *least = least.min(seconds / *repeats as f64);
        }
        rounds += 1;
    }
    let by_rule = candidates[0].2;
    let fastest = candidates.iter().min_by(|a, b| a.2.total_cmp(&b.2));
    let (tile, _, least) = *fastest.filter(|c| c.2 < GAIN * by_rule).unwrap_or(&candidates[0]);
    tracing::debug!(
        "{key}: {} takes {:.1} µs, by rule {} {:.1} µs",
        tile.name(),
        1e6 * least,
        rule.name(),
        1e6 * by_rule
    );
    Ok(Some(tile))
}

/// The largest difference of two results over the largest of the first; infinite where one is no number.
fn apart(expected: &[u8], found: &[u8]) -> f32 {
    let numbers = |bytes: &[u8]| -> Vec<f32> { bytemuck::pod_collect_to_vec(bytes) };
    let (expected, found) = (numbers(expected), numbers(found));
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
    let differences = expected.iter().zip(&found).map(|(a, b)| (a - b).abs());
    let finite = differences.map(|d| if d.is_nan() { f32::INFINITY } else { d });
    finite.fold(0.0, f32::max) / largest
}
