//! Tiles on the clock.

use kinora_graph::{Cost, Result};
use kinora_shaders::linear::{self, Arithmetic, Tile};
use kinora_shaders::quantize_rows::words;
use kinora_shaders::{WeightType, conv3d};

use super::{Choice, Key, Product};
use crate::device::Device;
use crate::plan::Speed;

/// Seconds that each candidate is measured for, where a run takes less.
const EACH: f64 = 0.02;

/// Seconds that a run is thought to take at most.
const RUN: f64 = 5e-3;

/// Times that candidates take turns: what else the machine does meets all of them.
const ROUNDS: usize = 5;

/// The part of the rule's time that another tile must not exceed: less is noise.
const GAIN: f64 = 0.97;

/// The fastest tile for a class, the one of `choice` among equals; `None` where operands would take more than `memory`.
pub(super) fn fastest(device: &Device, choice: &Choice, memory: Option<u64>) -> Result<Option<Tile>> {
    let Choice { key, tile: rule, .. } = *choice;
    let sample = Sample::new(key, device.capabilities().speed);
    if memory.is_some_and(|memory| sample.bytes() > memory) {
        return Ok(None);
    }
    let others = Tile::MANY.into_iter().filter(|tile| *tile != rule);
    let tiles = std::iter::once(rule).chain(others);
    let operands: Vec<_> = sample.operands.iter().map(|bytes| made_up(*bytes)).collect();
    let grid = |tile| key.product.workgroups(tile, sample.output);
    let shader = key.product.shader(rule);
    let mut probe = device.probe(&shader, &sample.params, grid(rule), &operands)?;
    drop(operands);
    let mut expected = None;
    // Tile, repetitions, least seconds.
    let mut candidates = Vec::new();
    for tile in tiles {
        if let Err(error) = probe.set(&key.product.shader(tile), grid(tile)) {
            // Plans may do without it, unless it is the rule's.
            if tile == rule {
                return Err(error);
            }
            tracing::warn!("{key}: the tile `{}` is not used: {error}", tile.name());
            continue;
        }
        let first = probe.run(1)?.device;
        let found = probe.read(sample.operands.len() - 1)?;
        if *expected.get_or_insert_with(|| found.clone()) != found {
            let (tile, rule) = (tile.name(), rule.name());
            tracing::warn!("{key}: on this device the tile `{tile}` gives other bits than `{rule}`, and is not used");
            continue;
        }
        let repeats = (EACH / ROUNDS as f64 / first.max(1e-6)) as usize;
        candidates.push((tile, repeats.clamp(1, 64), f64::INFINITY));
    }
    let mut rounds = 0;
    let mut taken = 0.0;
    while rounds < ROUNDS && (rounds == 0 || taken < EACH * candidates.len() as f64) {
        for (tile, repeats, least) in &mut candidates {
            probe.set(&key.product.shader(*tile), grid(*tile))?;
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

/// A product of a class, small enough for the device.
struct Sample {
    params: Vec<u8>,
    /// Bytes of each operand, the output last.
    operands: Vec<usize>,
    /// Rows and columns.
    output: [u32; 2],
}

impl Sample {
    fn new(key: Key, speed: Speed) -> Self {
        let [m, n, k] = key.class;
        let [m, n] = bounded([m, n], k, speed);
        match key.product {
            Product::Linear(arithmetic) => Self::linear(arithmetic, [m, n, k]),
            Product::Conv3d { weight, by_fours, .. } => Self::conv3d(weight, by_fours, [m, n, k]),
        }
    }

    fn linear(arithmetic: Arithmetic, [m, n, k]: [u32; 3]) -> Self {
        let params = linear::Params {
            m,
            n,
            k,
            out_stride: n,
            ..Default::default()
        };
        let (weight, x) = match arithmetic {
            Arithmetic::Float { weight, .. } => (weight_bytes(weight, n, k), m * k),
            Arithmetic::Int8 => (weight_bytes(WeightType::INT8, n, k), m * words(k)),
        };
        let mut operands = vec![weight, 4 * x as usize];
        operands.extend([16; 4]);
        operands.push(4 * (m * n) as usize);
        Self {
            params: bytemuck::bytes_of(&params).to_vec(),
            operands,
            output: [m, n],
        }
    }

    /// One frame, padded and with two frames before it; blocks of a format lie along channels, so those are summed
    /// without neighbours.
    fn conv3d(weight: WeightType, by_fours: bool, [m, n, k]: [u32; 3]) -> Self {
        let blocks = weight.dtype().format().block > 1;
        let taps = if blocks { [1, 1, 1] } else { [3, 3, 3] };
        let count: u32 = taps.iter().product();
        let channels = match (blocks, by_fours) {
            (true, _) => k,
            (false, true) => k / count / 4 * 4,
            (false, false) => k / count / 4 * 4 + 1,
        };
        // A power of two.
        let height = 1 << (m.ilog2() / 2);
        let width = m / height;
        let k = count * channels;
        let [cached, around] = [taps[0] - 1, taps[1] / 2];
        let params = conv3d::Params {
            m,
            n,
            k,
            out_stride: n,
            input: [cached, 1, height, width],
            output: [height, width, 0, 0],
            kernel: [taps[0], taps[1], taps[2], channels],
            stride: [1, 1, 1, 0],
            padding: [0, around, around, 0],
            ..Default::default()
        };
        let frame = 4 * (m * channels) as usize;
        let weight = weight_bytes(weight, n, k);
        Self {
            params: bytemuck::bytes_of(&params).to_vec(),
            operands: vec![
                weight,
                frame,
                (frame * cached as usize).max(16),
                16,
                16,
                4 * (m * n) as usize,
            ],
            output: [m, n],
        }
    }

    fn bytes(&self) -> u64 {
        self.operands.iter().map(|bytes| *bytes as u64).sum()
    }
}

/// Rows and columns that a run has time for, not less than 64 each where there are so many: what fills a fast device is
/// more than a slow one needs.
fn bounded(mut output: [u32; 2], k: u32, speed: Speed) -> [u32; 2] {
    let seconds = |[m, n]: [u32; 2]| {
        let flops = 2 * u64::from(m) * u64::from(n) * u64::from(k);
        speed.seconds(Cost { flops, bytes: 0 })
    };
    while seconds(output) > RUN {
        let larger = usize::from(output[1] > output[0]);
        if output[larger] <= 64 {
            break;
        }
        output[larger] /= 2;
    }
    output
}

/// Kernels read weights by fours of elements: there is room behind the last.
fn weight_bytes(weight: WeightType, n: u32, k: u32) -> usize {
    let row = weight.dtype().row_bytes(k as usize).unwrap_or(4 * k as usize);
    n as usize * row.next_multiple_of(4) + 16
}

/// Bytes between 0x38 and 0x3F, at random: modest positive numbers in every format, as elements and as scales. Rounding
/// makes sums of them tell in which order they were taken.
fn made_up(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut words = Vec::with_capacity(bytes.div_ceil(8));
    for _ in 0..bytes.next_multiple_of(16) / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        words.push(0x3838_3838_3838_3838 | (state & 0x0707_0707_0707_0707));
    }
    bytemuck::cast_slice(&words).to_vec()
}
