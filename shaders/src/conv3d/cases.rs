//! Shapes to test and to measure.

use super::{Conv3d, Operands, Params, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::linear::Tile;
use crate::{Factors, WeightType, flags};

/// A case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: Conv3d,
    /// Frames of the cache, frames of x, height, width.
    pub input: [u32; 4],
    /// kt, kh, kw, C.
    pub taps: [u32; 4],
    /// Output channels.
    pub channels: u32,
    /// In time, height and width.
    pub stride: [u32; 3],
    /// Zeros in front, above, below, left, right.
    pub padding: [u32; 5],
    /// [`flags`].
    pub flags: u32,
    /// Only some output rows and columns are computed, and the weight is not the first in its binding.
    pub sliced: bool,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let causal = [2, 1, 1, 1, 1];
    let mut cases = Vec::new();
    let mut case = |input,
                    [kt, kh, kw, c]: [u32; 4],
                    channels,
                    stride,
                    padding,
                    flags,
                    sliced,
                    variants: &[(WeightType, Factors)]| {
        for &(weight, factors) in variants {
            let taps = [kt, kh, kw, weight.whole(c)];
            // The rows of a tile do not depend on the weight's type.
            let tiles = if variants.len() > 5 {
                &Tile::MANY[..1]
            } else {
                &Tile::MANY[..]
            };
            let lanes = (factors == factors.in_registers()).then_some(&Tile::Lanes);
            for &tile in tiles.iter().chain(lanes) {
                let by_fours = taps[3].is_multiple_of(4);
                let kernel = Conv3d {
                    weight,
                    factors,
                    tile,
                    by_fours,
                };
                cases.push(Case {
                    kernel,
                    input,
                    taps,
                    channels,
                    stride,
                    padding,
                    flags,
                    sliced,
                });
            }
        }
    };
    let all: Vec<_> = WeightType::all().map(|w| (w, Factors::F32)).collect();
    let rounded = [
        (WeightType::F32, Factors::PackedF16),
        (WeightType::F16, Factors::F16),
        (WeightType::BF16, Factors::F16),
        (WeightType::F16, Factors::Matrix8),
        (WeightType::F16, Factors::Matrix16),
    ];
    let f32_only = &[(WeightType::F32, Factors::F32)][..];
    let both = flags::BIAS | flags::RESIDUAL;
    case(
        [2, 3, 5, 7],
        [3, 3, 3, 3],
        13,
        [1, 1, 1],
        [0, 1, 1, 1, 1],
        both,
        true,
        &rounded,
    );
    case(
        [0, 1, 2, 3],
        [3, 1, 1, 12],
        5,
        [1, 1, 1],
        [2, 0, 0, 0, 0],
        flags::BIAS,
        true,
        &all,
    );
    case(
        [0, 2, 5, 6],
        [3, 3, 3, 12],
        35,
        [1, 1, 1],
        causal,
        flags::BIAS,
        false,
        &rounded,
    );
    case(
        [1, 2, 6, 6],
        [3, 3, 3, 5],
        3,
        [1, 1, 1],
        [1, 1, 1, 1, 1],
        both,
        false,
        f32_only,
    );
    // Downsampling: zeros below and on the right only; then in time.
    case(
        [0, 2, 6, 8],
        [1, 3, 3, 16],
        16,
        [1, 2, 2],
        [0, 0, 1, 0, 1],
        flags::BIAS,
        false,
        f32_only,
    );
    case(
        [1, 4, 3, 3],
        [3, 1, 1, 8],
        8,
        [2, 1, 1],
        [0; 5],
        flags::BIAS,
        false,
        f32_only,
    );
    case([0, 1, 4, 4], [1, 1, 1, 7], 70, [1, 1, 1], [0; 5], 0, true, f32_only);
    case(
        [0, 1, 1, 1],
        [3, 3, 3, 1],
        1,
        [1, 1, 1],
        causal,
        flags::RESIDUAL,
        false,
        f32_only,
    );
    case(
        [2, 1, 16, 16],
        [3, 3, 3, 64],
        64,
        [1, 1, 1],
        [0, 1, 1, 1, 1],
        flags::BIAS,
        false,
        f32_only,
    );
    case(
        [2, 1, 16, 16],
        [3, 3, 3, 24],
        24,
        [1, 1, 1],
        [0, 1, 1, 1, 1],
        flags::BIAS,
        false,
        &[(WeightType::BF16, Factors::F16)],
    );
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let [cached, frames, height, width] = self.input;
        let [kt, kh, kw, channels] = self.taps;
        let [front, top, bottom, left, right] = self.padding;
        let size = |n: u32, zeros: u32, taps: u32, axis: usize| (n + zeros - taps) / self.stride[axis] + 1;
        let out_frames = size(cached + frames, front, kt, 0);
        let (out_height, out_width) = (size(height, top + bottom, kh, 1), size(width, left + right, kw, 2));
        let (rows, n) = (out_frames * out_height * out_width, self.channels);
        let (first_row, skipped, first_column, more) = if self.sliced { (2, 3, 4, 6) } else { (0, 0, 0, 0) };
        let k = kt * kh * kw * channels;
        let p = Params {
            m: rows - first_row - skipped,
            n,
            k,
            first_row,
            first_weight_row: more / 2,
            first_column,
            out_stride: first_column + n + more,
            flags: self.flags,
            input: self.input,
            output: [out_height, out_width, 0, 0],
            kernel: self.taps,
            stride: [self.stride[0], self.stride[1], self.stride[2], 0],
            padding: [front, top, left, 0],
        };
        let frame = (height * width * channels) as usize;
        let x = random.floats(frames as usize * frame, 2.0);
        let cache = random.floats(cached as usize * frame, 2.0);
        let scale = 1.0 / (k as f32).sqrt();
        let (weight, weight_bytes) = random.weights(self.kernel.weight, p.first_weight_row + n, k, scale);
        let bias = random.floats(p.out_stride as usize, 1.0);
        let elements = (rows * p.out_stride) as usize;
        let residual = random.floats(elements, 2.0);
        let before = vec![UNTOUCHED; elements];
        let mut expected = before.clone();
        let operands = Operands {
            x: &x,
            cache: &cache,
            weight: &weight,
            bias: &bias,
            residual: &residual,
        };
        reference(&self.kernel, &p, operands, &mut expected);
        let operands = vec![
            weight_bytes,
            bytes(&x),
            bytes(&cache),
            bytes(&bias),
            bytes(&residual),
            bytes(&before),
        ];
        let shape = format!("{:?} taps {:?} to {n} flags {}", self.input, self.taps, self.flags);
        Call::new(&self.kernel, &shape, &p, operands, expected)
            .tolerance(5e-6)
            .flops(2.0 * f64::from(p.m) * f64::from(n) * f64::from(k))
    }
}
