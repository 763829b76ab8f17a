//! The plain version.

use kinora_quant::round_f16;

use super::{Conv3d, Params};
use crate::flags;

/// The operands, `weight` decoded; those that are left out may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands<'a> {
    /// `[T, H, W, C]`
    pub x: &'a [f32],
    /// `[Tc, H, W, C]`
    pub cache: &'a [f32],
    /// `[…, kt, kh, kw, C]`
    pub weight: &'a [f32],
    /// `[O]`
    pub bias: &'a [f32],
    /// Of the shape of out.
    pub residual: &'a [f32],
}

/// What the kernel does, with sums in f64.
pub fn reference(kernel: &Conv3d, p: &Params, o: Operands<'_>, out: &mut [f32]) {
    let operand = |v: f32| f64::from(if kernel.factors.rounded() { round_f16(v) } else { v });
    let [cached, frames, height, width] = p.input.map(|n| n as usize);
    let [kt, kh, kw, channels] = p.kernel.map(|n| n as usize);
    let [out_height, out_width, ..] = p.output.map(|n| n as usize);
    let stride = p.stride.map(|n| n as usize);
    let padding = p.padding.map(|n| n as usize);
    // The input's coordinate, where it is inside.
    let at = |output: usize, axis: usize, tap: usize, size: usize| {
        (output * stride[axis] + tap)
            .checked_sub(padding[axis])
            .filter(|i| *i < size)
    };
    for m in 0..p.m as usize {
        let row = p.first_row as usize + m;
        let (t, y, x) = (
            row / out_width / out_height,
            row / out_width % out_height,
            row % out_width,
        );
        for n in 0..p.n as usize {
            let column = p.first_column as usize + n;
            let mut sum = 0.0;
            let mut w = (p.first_weight_row as usize + n) * p.k as usize;
            for dt in 0..kt {
                for dy in 0..kh {
                    for dx in 0..kw {
                        let t = at(t, 0, dt, cached + frames);
                        let y = at(y, 1, dy, height);
                        let x = at(x, 2, dx, width);
                        if let (Some(t), Some(y), Some(x)) = (t, y, x) {
                            let (source, t) = if t < cached { (o.cache, t) } else { (o.x, t - cached) };
                            let place = ((t * height + y) * width + x) * channels;
                            for c in 0..channels {
                                sum += operand(source[place + c]) * operand(o.weight[w + c]);
                            }
                        }
                        w += channels;
                    }
                }
            }
            let place = row * p.out_stride as usize + column;
            if p.flags & flags::BIAS != 0 {
                sum += f64::from(o.bias[column]);
            }
            if p.flags & flags::RESIDUAL != 0 {
                sum += f64::from(o.residual[place]);
            }
            out[place] = sum as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Operands, reference};
    use crate::conv3d::{Conv3d, Params};
    use crate::linear::Tile;
    use crate::{WeightType, flags};

    const KERNEL: Conv3d = Conv3d {
        weight: WeightType::F32,
        factors: crate::Factors::F32,
        tile: Tile::Square,
        by_fours: false,
    };

    #[test]
    fn ones_count_the_taps_inside() {
        let p = Params {
            m: 9,
            n: 1,
            k: 9,
            out_stride: 1,
            flags: flags::BIAS,
            input: [0, 1, 3, 3],
            output: [3, 3, 0, 0],
            kernel: [1, 3, 3, 1],
            stride: [1, 1, 1, 0],
            padding: [0, 1, 1, 0],
            ..Params::default()
        };
        let mut out = [0.0; 9];
        reference(
            &KERNEL,
            &p,
            Operands {
                x: &[1.0; 9],
                weight: &[1.0; 9],
                bias: &[0.5],
                ..Operands::default()
            },
            &mut out,
        );
        assert_eq!(out, [4.5, 6.5, 4.5, 6.5, 9.5, 6.5, 4.5, 6.5, 4.5]);
    }

    #[test]
    fn the_cache_comes_first_and_time_is_causal() {
        let p = Params {
            m: 3,
            n: 1,
            k: 3,
            out_stride: 1,
            flags: flags::RESIDUAL,
            input: [1, 2, 1, 1],
            output: [1, 1, 0, 0],
            kernel: [3, 1, 1, 1],
            stride: [1, 1, 1, 0],
            padding: [2, 0, 0, 0],
            ..Params::default()
        };
        let mut out = [0.0; 3];
        let o = Operands {
            x: &[2.0, 3.0],
            cache: &[1.0],
            weight: &[100.0, 10.0, 1.0],
            residual: &[0.0, 0.0, 0.25],
            ..Operands::default()
        };
        reference(&KERNEL, &p, o, &mut out);
        assert_eq!(out, [1.0, 12.0, 123.25]);
    }
}
