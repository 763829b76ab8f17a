//! The plain version.

use super::Params;

/// What the kernel does.
pub fn reference(p: &Params, x: &[f32], out: &mut [f32]) {
    let range = 4 * p.first as usize..4 * (p.first + p.count) as usize;
    out[range.clone()].copy_from_slice(&x[range]);
}

#[cfg(test)]
mod tests {
    use super::{Params, reference};

    #[test]
    fn copies_whole_vectors() {
        let p = Params {
            count: 1,
            first: 1,
            ..Params::default()
        };
        let (x, mut out) = ([1.0; 12], [0.0; 12]);
        reference(&p, &x, &mut out);
        assert_eq!(out, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
