//! Operands that stand for a class of shapes.

use kinora_graph::Cost;
use kinora_shaders::linear::{self, Arithmetic};
use kinora_shaders::quantize_rows::words;
use kinora_shaders::{WeightType, attention, conv3d};

use super::{Key, Operation, Tile};
use crate::plan::Speed;

/// Seconds that a run is thought to take at most.
const RUN: f64 = 5e-3;

/// An operation of a class, small enough for the device.
pub(super) struct Sample {
    pub(super) params: Vec<u8>,
    /// Bytes of each operand, the output last.
    pub(super) bytes: Vec<usize>,
    /// Rows and columns; queries and heads.
    output: [u32; 2],
}

impl Sample {
    pub(super) fn new(key: Key, speed: Speed) -> Self {
        match key.operation {
            Operation::Linear(arithmetic) => Self::linear(arithmetic, bounded(key.class, speed)),
            Operation::Conv3d { weight, by_fours, .. } => Self::conv3d(weight, by_fours, bounded(key.class, speed)),
            Operation::Attention { head_dim, .. } => {
                Self::attention(head_dim, bounded_attention(key.class, head_dim, speed))
            }
        }
    }

    /// Its grid with a tile.
    pub(super) fn workgroups(&self, operation: Operation, tile: Tile) -> [u32; 3] {
        let [m, n] = self.output;
        match (operation, tile) {
            (Operation::Linear(arithmetic), Tile::Product(tile)) => tile.workgroups(arithmetic.factors(), m, n),
            (Operation::Conv3d { factors, .. }, Tile::Product(tile)) => tile.workgroups(factors, m, n),
            (_, Tile::Attention(tile)) => tile.workgroups(m, n, 1),
            _ => unreachable!("{operation:?} has no {tile:?}"),
        }
    }

    /// Contents of its operands.
    pub(super) fn operands(&self) -> Vec<Vec<u8>> {
        self.bytes.iter().map(|bytes| made_up(*bytes)).collect()
    }

    /// Bytes of all of them.
    pub(super) fn size(&self) -> u64 {
        self.bytes.iter().map(|bytes| *bytes as u64).sum()
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
            bytes: operands,
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
            bytes: vec![
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

    fn attention(head_dim: u32, [queries, heads, keys]: [u32; 3]) -> Self {
        let params = attention::Params {
            queries,
            query_length: queries,
            key_length: keys,
            heads,
            head_dim,
            batch: 1,
            scale: 1.0 / (head_dim as f32).sqrt(),
            ..Default::default()
        };
        let value = |rows: u32| 4 * (rows * heads * head_dim) as usize;
        Self {
            params: bytemuck::bytes_of(&params).to_vec(),
            bytes: vec![value(queries), value(keys), value(keys), 16, 16, 16, value(queries)],
            output: [queries, heads],
        }
    }
}

/// Whether a run of so many operations takes too long.
fn too_long(flops: u64, speed: Speed) -> bool {
    speed.seconds(Cost { flops, bytes: 0 }) > RUN
}

/// Rows and columns that a run has time for, not less than 64 each where there are so many: what fills a fast device is
/// more than a slow one needs.
fn bounded([m, n, k]: [u32; 3], speed: Speed) -> [u32; 3] {
    let mut output = [m, n];
    while too_long(
        2 * output.iter().chain(&[k]).map(|size| u64::from(*size)).product::<u64>(),
        speed,
    ) {
        let larger = usize::from(output[1] > output[0]);
        if output[larger] <= 64 {
            break;
        }
        output[larger] /= 2;
    }
    [output[0], output[1], k]
}

/// The same for queries, heads and keys: what is repeated goes first, the keys of a query, then heads.
fn bounded_attention(mut class: [u32; 3], head_dim: u32, speed: Speed) -> [u32; 3] {
    const LEAST: [u32; 3] = [64, 1, 512];
    let flops = |class: [u32; 3]| {
        4 * class
            .iter()
            .chain(&[head_dim])
            .map(|size| u64::from(*size))
            .product::<u64>()
    };
    for axis in [2, 1, 0] {
        while class[axis] > LEAST[axis] && too_long(flops(class), speed) {
            class[axis] /= 2;
        }
    }
    class
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
