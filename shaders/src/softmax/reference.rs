//! The plain version.

use super::Params;
use crate::attention::BLOCK;
use crate::flags;

/// The operands; those that the flags leave out may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands<'a> {
    /// `[rows, columns]`
    pub x: &'a [f32],
    /// See [`Params::first_bias`].
    pub bias: &'a [f32],
    /// `[columns]`
    pub mask: &'a [f32],
    /// See [`Params::first_block`].
    pub blocks: &'a [f32],
}

/// What the kernel does, in f64.
pub fn reference(p: &Params, o: Operands<'_>, out: &mut [f32]) {
    let (columns, side) = (p.columns as usize, BLOCK as usize);
    let (first_bias, stride) = (p.first_bias as usize, p.bias_stride as usize);
    for row in 0..p.rows as usize {
        let place = (p.first_row as usize + row) * columns;
        let scores = (0..columns).map(|column| {
            let block = (p.first_query as usize + row) / side * columns.div_ceil(side) + column / side;
            if p.flags & flags::BLOCKS != 0 && o.blocks[p.first_block as usize + block] == 0.0 {
                return f64::NEG_INFINITY;
            }
            let mut score = f64::from(o.x[place + column]);
            if p.flags & flags::BIAS != 0 {
                score += f64::from(o.bias[first_bias + column * stride - row * stride]);
            }
            if p.flags & flags::MASK != 0 {
                score += f64::from(o.mask[column]);
            }
            score
        });
        let scores: Vec<_> = scores.collect();
        let highest = scores.iter().copied().fold(f64::MIN, f64::max);
        let parts: Vec<_> = scores.iter().map(|s| (s - highest).exp()).collect();
        let sum: f64 = parts.iter().sum();
        for (out, part) in out[place..].iter_mut().zip(parts) {
            *out = if sum > 0.0 { (part / sum) as f32 } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Operands, Params, reference};
    use crate::flags;

    #[test]
    fn one_to_three_with_something_invisible() {
        let mut out = [0.0; 6];
        let p = Params {
            rows: 1,
            columns: 3,
            first_row: 1,
            ..Params::default()
        };
        let o = Operands {
            x: &[0.0, 0.0, 0.0, 500.0, 500.0 + 3f32.ln(), f32::MIN],
            ..Operands::default()
        };
        reference(&p, o, &mut out);
        assert!(
            (out[3] - 0.25).abs() < 1e-5 && (out[4] - 0.75).abs() < 1e-5 && out[5] == 0.0 && out[0] == 0.0,
            "{out:?}"
        );
    }

    #[test]
    fn the_bias_is_by_distance_and_the_mask_by_column() {
        // Two queries, three keys, the second of two heads: entries for j - i = -1, 0, 1, 2.
        let third = 3f32.ln();
        let p = Params {
            rows: 2,
            columns: 3,
            flags: flags::BIAS | flags::MASK,
            first_bias: 3,
            bias_stride: 2,
            ..Params::default()
        };
        let o = Operands {
            x: &[0.0; 6],
            bias: &[9.0, third, 9.0, 0.0, 9.0, third, 9.0, 0.0],
            mask: &[0.0, 0.0, f32::MIN],
            ..Operands::default()
        };
        let mut out = [0.0; 6];
        reference(&p, o, &mut out);
        let expected = [0.25, 0.75, 0.0, 0.75, 0.25, 0.0];
        assert!(out.iter().zip(expected).all(|(o, e)| (o - e).abs() < 1e-6), "{out:?}");
    }
}
