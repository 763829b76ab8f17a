//! The plain version.

use super::Params;

/// What the kernel does, with sums in f64.
pub fn reference(p: &Params, x: &[f32], out: &mut [f32]) {
    let place = |index: u32, axes: std::ops::Range<usize>| {
        let mut rest = index as usize;
        let mut sum = 0;
        for axis in axes.rev() {
            sum += rest % p.sizes[axis] as usize * p.strides[axis] as usize;
            rest /= p.sizes[axis] as usize;
        }
        sum
    };
    let (kept, axes) = (p.kept as usize, p.axes as usize);
    for index in p.first..p.first + p.count {
        let from = p.offset as usize + place(index, 0..kept);
        let sum: f64 = (0..p.averaged).map(|j| f64::from(x[from + place(j, kept..axes)])).sum();
        out[(p.out_offset + index) as usize] = (sum / f64::from(p.averaged)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::{Params, reference};

    #[test]
    fn a_transposition_and_a_mean() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut out = [0.0; 6];
        reference(&Params::new(&[3, 2], &[1, 3], 0, 0), &x, &mut out);
        assert_eq!(out, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let mut out = [0.0; 2];
        reference(&Params::new(&[2, 2], &[3, 1], 1, 1), &x, &mut out);
        assert_eq!(out, [2.5, 5.5]);
    }
}
