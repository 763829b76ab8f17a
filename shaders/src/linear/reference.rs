//! The plain version.

use std::ops::Range;

use kinora_quant::round_f16;

use super::{Arithmetic, Epilogue, Linear, Params};
use crate::{Activation, flags};

/// The operands, `weight` decoded, bytes as the integers that they are; those that the flags leave out may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands<'a> {
    /// `[…, K]`
    pub x: &'a [f32],
    /// Of the rows of x, where bytes are multiplied.
    pub x_scales: &'a [f32],
    /// `[…, K]`
    pub weight: &'a [f32],
    /// Of the rows of the weight, where bytes are multiplied.
    pub weight_scales: &'a [f32],
    /// `[N]`
    pub bias: &'a [f32],
    /// Of the shape of out.
    pub residual: &'a [f32],
    /// `[R, W]`
    pub table: &'a [f32],
    /// One for each row.
    pub rows: &'a [u32],
}

/// What the kernel does, with sums in f64.
pub fn reference(kernel: &Linear, p: &Params, o: Operands<'_>, out: &mut [f32]) {
    let rounds = matches!(kernel.arithmetic, Arithmetic::Float { factors, .. } if factors.rounded());
    let operand = |v: f32| f64::from(if rounds { round_f16(v) } else { v });
    for m in 0..p.m as usize {
        let row = p.first_row as usize + m;
        for n in 0..p.n as usize {
            let column = p.first_column as usize + n;
            let k = p.k as usize;
            let a = &o.x[row * k..][..k];
            let w_row = p.first_weight_row as usize + n;
            let b = &o.weight[w_row * k..][..k];
            let sum = |range: Range<usize>| -> f64 {
                let products = a[range.clone()].iter().zip(&b[range]);
                products.map(|(a, b)| operand(*a) * operand(*b)).sum()
            };
            if kernel.epilogue == Epilogue::Parts {
                let part = p.part_k as usize;
                for start in (0..k).step_by(part) {
                    out[(start / part * p.m as usize + m) * p.n as usize + n] = sum(start..start + part) as f32;
                }
                continue;
            }
            let mut y = sum(0..k);
            if kernel.arithmetic == Arithmetic::Int8 {
                y = f64::from(y as f32 * (o.x_scales[row] * o.weight_scales[w_row]));
            }
            let (place, value) = finished(kernel.epilogue, p, o, [row, column], y);
            out[place] = value;
        }
    }
}

/// A whole sum with its epilogue, and its place in out.
pub(crate) fn finished(
    epilogue: Epilogue,
    p: &Params,
    o: Operands<'_>,
    [row, column]: [usize; 2],
    mut y: f64,
) -> (usize, f32) {
    let stride = p.out_stride as usize;
    let (mut place, mut bias_place) = (row * stride + column, column);
    if epilogue == Epilogue::Apart {
        let (part, column) = (column / stride, column % stride);
        place = part * p.part_stride as usize + row * stride + column;
        bias_place = part * p.bias_stride as usize + column;
    }
    if p.flags & flags::BIAS != 0 {
        y += f64::from(o.bias[bias_place]);
    }
    let value = match epilogue {
        Epilogue::Activation(activation) => activation.apply(y),
        Epilogue::Apart | Epilogue::Parts => y,
        Epilogue::GeluTanhTimes => Activation::GeluTanh.apply(y) * f64::from(o.residual[place]),
        Epilogue::Residual => {
            if p.flags & flags::TABLE != 0 {
                let table_row = if p.flags & flags::ROWS != 0 {
                    o.rows[row] as usize
                } else {
                    0
                };
                y *= f64::from(o.table[table_row * p.table_stride as usize + p.gate_column as usize + column]);
            }
            f64::from(o.residual[place]) + y
        }
    };
    (place, value as f32)
}

#[cfg(test)]
mod tests {
    use super::{Operands, reference};
    use crate::linear::{Arithmetic, Epilogue, Linear, Params, Tile};
    use crate::{Activation, Factors, WeightType, flags};

    const KERNEL: Linear = Linear {
        arithmetic: Arithmetic::Float {
            weight: WeightType::F32,
            factors: Factors::F32,
        },
        epilogue: Epilogue::Residual,
        tile: Tile::Square,
    };

    #[test]
    fn a_gated_residual_by_hand() {
        let p = Params {
            m: 2,
            n: 1,
            k: 2,
            first_column: 1,
            out_stride: 2,
            first_weight_row: 1,
            flags: flags::BIAS | flags::TABLE | flags::ROWS,
            gate_column: 1,
            table_stride: 3,
            ..Params::default()
        };
        let o = Operands {
            x: &[1.0, 2.0, 3.0, 4.0],
            weight: &[9.0, 9.0, 10.0, 100.0],
            bias: &[9.0, 0.5],
            residual: &[0.0, 1.0, 0.0, 2.0],
            table: &[0.0, 0.0, 2.0, 0.0, 0.0, -1.0],
            rows: &[1, 0],
            ..Operands::default()
        };
        let mut out = [7.0; 4];
        reference(&KERNEL, &p, o, &mut out);
        assert_eq!(out, [7.0, 1.0 - 210.5, 7.0, 2.0 + 2.0 * 430.5]);
    }

    #[test]
    fn rounding_loses_what_f16_cannot_hold() {
        let p = Params {
            m: 1,
            n: 1,
            k: 1,
            out_stride: 1,
            ..Params::default()
        };
        let kernel = Linear {
            arithmetic: Arithmetic::Float {
                weight: WeightType::F32,
                factors: Factors::F16,
            },
            epilogue: Epilogue::Activation(Activation::None),
            ..KERNEL
        };
        let mut out = [0.0];
        reference(
            &kernel,
            &p,
            Operands {
                x: &[2049.0],
                weight: &[1.0 + 2f32.powi(-12)],
                ..Operands::default()
            },
            &mut out,
        );
        assert_eq!(out, [2048.0]);
    }
}
