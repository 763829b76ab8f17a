//! The plain version.

use super::{Binary, Params};

/// What the kernel does.
pub fn reference(kernel: &Binary, p: &Params, a: &[f32], b: &[f32], out: &mut [f32]) {
    for i in p.first as usize..(p.first + p.count) as usize {
        let other = b[i % p.b_count as usize];
        out[i] = match kernel {
            Binary::Add => a[i] + other,
            Binary::Mul => a[i] * other,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Binary, Params, reference};

    #[test]
    fn the_second_repeats() {
        let p = Params {
            count: 3,
            first: 1,
            b_count: 2,
            ..Params::default()
        };
        let mut out = [0.0; 4];
        reference(&Binary::Add, &p, &[1.0, 2.0, 3.0, 4.0], &[10.0, 20.0], &mut out);
        assert_eq!(out, [0.0, 22.0, 13.0, 24.0]);
        reference(&Binary::Mul, &p, &[1.0, 2.0, 3.0, 4.0], &[10.0, 20.0], &mut out);
        assert_eq!(out, [0.0, 40.0, 30.0, 80.0]);
    }
}
