//! The plain version.

use super::Params;

/// What the kernel does, with sums in f64.
pub fn reference(p: &Params, coefficients: &[f32], inputs: &[&[f32]], out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate().skip(p.first as usize).take(p.count as usize) {
        let terms = inputs.iter().take(p.inputs as usize).zip(coefficients);
        *out = terms.map(|(x, c)| f64::from(*c) * f64::from(x[i])).sum::<f64>() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::{Params, reference};

    #[test]
    fn guidance_by_hand() {
        let mut out = [0.0; 2];
        let p = Params {
            count: 1,
            first: 1,
            inputs: 2,
            ..Params::default()
        };
        reference(&p, &[5.0, -4.0], &[&[0.0, 2.0], &[0.0, 1.5]], &mut out);
        assert_eq!(out, [0.0, 4.0]);
    }
}
