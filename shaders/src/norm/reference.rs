//! The plain version.

use super::{Norm, NormKind, Params};
use crate::flags;

/// The operands; those that the flags leave out may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands<'a> {
    /// `[…, C]`
    pub x: &'a [f32],
    /// `[C]`
    pub scale: &'a [f32],
    /// `[C]`
    pub bias: &'a [f32],
    /// `[R, W]`
    pub table: &'a [f32],
    /// One for each row.
    pub rows: &'a [u32],
}

/// What the kernel does, with sums in f64.
pub fn reference(kernel: &Norm, p: &Params, o: Operands<'_>, out: &mut [f32]) {
    let columns = p.columns as usize;
    let count = f64::from(p.columns);
    let eps = f64::from(p.eps);
    for row in p.first_row as usize..(p.first_row + p.rows) as usize {
        let x: Vec<_> = o.x[row * columns..][..columns].iter().map(|v| f64::from(*v)).collect();
        let mean = if kernel.kind == NormKind::Layer {
            x.iter().sum::<f64>() / count
        } else {
            0.0
        };
        let squares: f64 = x.iter().map(|v| (v - mean) * (v - mean)).sum();
        let factor = match kernel.kind {
            NormKind::Layer | NormKind::Rms => 1.0 / (squares / count + eps).sqrt(),
            NormKind::L2 => count.sqrt() / squares.sqrt().max(eps),
        };
        let table_row = if p.flags & flags::ROWS != 0 {
            o.rows[row] as usize
        } else {
            0
        };
        let entry =
            |column: u32, i: usize| f64::from(o.table[table_row * p.table_stride as usize + column as usize + i]);
        for i in 0..columns {
            let mut y = (x[i] - mean) * factor;
            if p.flags & flags::WEIGHT != 0 {
                y *= f64::from(o.scale[i]);
            }
            if p.flags & flags::BIAS != 0 {
                y += f64::from(o.bias[i]);
            }
            if p.flags & flags::TABLE != 0 {
                y = y * (1.0 + entry(p.scale_column, i)) + entry(p.shift_column, i);
            }
            out[row * columns + i] = kernel.activation.apply(y) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Operands, reference};
    use crate::norm::{Lanes, Norm, NormKind, Params};
    use crate::{Activation, flags};

    fn run(kind: NormKind, p: Params, o: Operands<'_>) -> Vec<f32> {
        let mut out = vec![0.0; o.x.len()];
        reference(
            &Norm {
                kind,
                activation: Activation::None,
                lanes: Lanes::L16,
                by_fours: false,
            },
            &p,
            o,
            &mut out,
        );
        out
    }

    #[test]
    fn each_kind_by_hand() {
        let p = Params {
            rows: 1,
            columns: 2,
            eps: 0.0,
            ..Params::default()
        };
        let o = Operands {
            x: &[3.0, 5.0],
            ..Operands::default()
        };
        assert_eq!(run(NormKind::Layer, p, o), [-1.0, 1.0]);
        for kind in [NormKind::Rms, NormKind::L2] {
            let out = run(kind, p, o);
            assert!(
                (out[0] - 3.0 / 17f32.sqrt()).abs() < 1e-6 && (out[1] - 5.0 / 17f32.sqrt()).abs() < 1e-6,
                "{out:?}"
            );
        }
        let zero = Operands {
            x: &[0.0, 0.0],
            ..Operands::default()
        };
        assert_eq!(run(NormKind::L2, Params { eps: 1e-12, ..p }, zero), [0.0, 0.0]);
    }

    #[test]
    fn weight_bias_then_modulation() {
        let p = Params {
            rows: 1,
            columns: 2,
            flags: flags::WEIGHT | flags::BIAS | flags::TABLE | flags::ROWS,
            shift_column: 2,
            table_stride: 4,
            ..Params::default()
        };
        let o = Operands {
            x: &[3.0, 5.0],
            scale: &[2.0, 3.0],
            bias: &[0.5, -0.5],
            table: &[0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 10.0, 20.0],
            rows: &[1],
        };
        assert_eq!(run(NormKind::Layer, p, o), [-1.5 * 2.0 + 10.0, 2.5 * 3.0 + 20.0]);
    }
}
