//! The plain version.

use super::Params;

/// The operands.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    /// `[slots, columns]`, sorted by expert.
    pub x: &'a [f32],
    /// See [`crate::group_by_expert`].
    pub groups: &'a [u32],
    /// `[…, k]`
    pub weights: &'a [f32],
}

/// What the kernel does, with sums in f64.
pub fn reference(p: &Params, o: Operands<'_>, out: &mut [f32]) {
    let (columns, k) = (p.columns as usize, p.k as usize);
    for row in 0..p.rows as usize {
        let token = p.first_row as usize + row;
        let places = &o.groups[(p.slots + p.first_slot) as usize + row * k..][..k];
        for column in 0..columns {
            let terms = places.iter().zip(&o.weights[token * k..]);
            let sum: f64 = terms
                .map(|(place, w)| f64::from(*w) * f64::from(o.x[*place as usize * columns + column]))
                .sum();
            out[token * columns + column] = sum as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Operands, Params, reference};

    #[test]
    fn a_sum_by_hand() {
        let p = Params {
            rows: 1,
            columns: 1,
            k: 2,
            first_row: 0,
            first_slot: 2,
            slots: 4,
            ..Params::default()
        };
        let o = Operands {
            x: &[1.0, 2.0, 3.0, 4.0],
            groups: &[3, 0, 1, 2, 1, 2, 3, 0, 0, 1, 4],
            weights: &[10.0, 100.0],
        };
        let mut out = [0.0];
        reference(&p, o, &mut out);
        assert_eq!(out, [140.0]);
    }
}
