//! The plain version.

use super::Params;

/// What the kernel does, with sums in f64.
pub fn reference(p: &Params, x: &[f32], out: &mut [f32]) {
    let columns = p.columns as usize;
    for row in p.first_row as usize..(p.first_row + p.rows) as usize {
        let x = &x[row * columns..][..columns];
        let highest = x.iter().copied().fold(f32::MIN, f32::max);
        let parts: Vec<_> = x.iter().map(|v| (f64::from(*v) - f64::from(highest)).exp()).collect();
        let sum: f64 = parts.iter().sum();
        for (out, part) in out[row * columns..].iter_mut().zip(parts) {
            *out = (part / sum) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Params, reference};

    #[test]
    fn one_to_three_with_something_invisible() {
        let mut out = [0.0; 6];
        let p = Params {
            rows: 1,
            columns: 3,
            first_row: 1,
            ..Params::default()
        };
        reference(&p, &[0.0, 0.0, 0.0, 500.0, 500.0 + 3f32.ln(), f32::MIN], &mut out);
        assert!(
            (out[3] - 0.25).abs() < 1e-5 && (out[4] - 0.75).abs() < 1e-5 && out[5] == 0.0 && out[0] == 0.0,
            "{out:?}"
        );
    }
}
