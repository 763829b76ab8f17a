//! The plain version.

use super::{Params, Unary};

/// What the kernel does.
pub fn reference(kernel: &Unary, p: &Params, x: &[f32], out: &mut [f32]) {
    for i in p.first as usize..(p.first + p.count) as usize {
        out[i] = match kernel {
            Unary::Activation(activation) => activation.apply(f64::from(x[i])) as f32,
            Unary::Clamp => x[i].max(p.low).min(p.high),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Params, Unary, reference};

    #[test]
    fn clamps() {
        let mut out = [9.0; 4];
        reference(
            &Unary::Clamp,
            &Params {
                count: 3,
                first: 1,
                low: -1.0,
                high: 2.0,
            },
            &[0.0, -5.0, 1.0, 5.0],
            &mut out,
        );
        assert_eq!(out, [9.0, -1.0, 1.0, 2.0]);
    }
}
