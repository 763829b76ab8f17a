//! The plain version.

use super::Params;

/// What the kernel does, for logits that are not NaN.
pub fn reference(p: &Params, logits: &[f32], out: &mut [u32]) {
    let (columns, k) = (p.columns as usize, p.k as usize);
    for row in p.first_row as usize..(p.first_row + p.rows) as usize {
        let logits = &logits[row * columns..][..columns];
        let mut ids: Vec<u32> = (0..p.columns).collect();
        // Adding 0 makes both zeros equal; a stable sort keeps equal ones in their order.
        ids.sort_by(|a, b| (logits[*b as usize] + 0.0).total_cmp(&(logits[*a as usize] + 0.0)));
        out[row * k..][..k].copy_from_slice(&ids[..k]);
    }
}

#[cfg(test)]
mod tests {
    use super::{Params, reference};

    #[test]
    fn of_equal_ones_the_first_is_chosen() {
        let p = Params {
            rows: 1,
            columns: 5,
            k: 3,
            first_row: 0,
        };
        let mut out = [9; 3];
        reference(&p, &[1.0, 3.0, f32::NEG_INFINITY, 3.0, 1.0], &mut out);
        assert_eq!(out, [1, 3, 0]);
    }
}
