//! The plain version.

use super::Params;

/// The operands.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    /// `[L, heads · head_dim]`
    pub x: &'a [f32],
    /// `[heads · head_dim]`
    pub scale: &'a [f32],
    /// `[L, head_dim / 2]`
    pub cosines: &'a [f32],
    /// `[L, head_dim / 2]`
    pub sines: &'a [f32],
}

/// What the kernel does, with sums in f64.
pub fn reference(p: &Params, o: Operands<'_>, out: &mut [f32]) {
    let half = p.head_dim as usize / 2;
    let columns = (p.heads * p.head_dim) as usize;
    for row in p.first_row as usize..(p.first_row + p.rows) as usize {
        let x = &o.x[row * columns..][..columns];
        let squares: f64 = x.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
        let factor = 1.0 / (squares / columns as f64 + f64::from(p.eps)).sqrt();
        for pair in 0..columns / 2 {
            let normed = |i: usize| f64::from(x[i]) * factor * f64::from(o.scale[i]);
            let (a, b) = (normed(2 * pair), normed(2 * pair + 1));
            let angle = row * half + pair % half;
            let (c, s) = (f64::from(o.cosines[angle]), f64::from(o.sines[angle]));
            out[row * columns + 2 * pair] = (a * c - b * s) as f32;
            out[row * columns + 2 * pair + 1] = (a * s + b * c) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Operands, reference};
    use crate::qk_norm_rope::Params;

    #[test]
    fn a_quarter_turn_of_one_head_of_two() {
        let p = Params {
            rows: 1,
            heads: 2,
            head_dim: 2,
            ..Params::default()
        };
        let o = Operands {
            x: &[3.0, 1.0, 1.0, 1.0],
            scale: &[1.0, 2.0, 1.0, 1.0],
            cosines: &[0.0],
            sines: &[1.0],
        };
        let mut out = [0.0; 4];
        reference(&p, o, &mut out);
        let f = 3f32.sqrt();
        for (found, right) in out.into_iter().zip([-2.0 / f, 3.0 / f, -1.0 / f, 1.0 / f]) {
            assert!((found - right).abs() < 1e-6, "{out:?}");
        }
    }
}
