//! Rotation and quantisation of rows as the int8 formats have them, for weights and for what they are multiplied with.

use crate::Rotation;

/// The least scale: rows of zeros have one too.
pub const LEAST_SCALE: f32 = 1e-30;

impl Rotation {
    /// Multiplies each group of `row` by the rotation's matrix, which is its own inverse: the Kronecker power of
    /// `[1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1] / 2`.
    ///
    /// One step for each factor, from the widest stride to 1: kernels add in the same order, so that they get the
    /// same bits.
    ///
    /// # Panics
    /// If `row` is no whole number of groups.
    pub fn rotate(self, row: &mut [f32]) {
        assert!(
            row.len().is_multiple_of(self.group()),
            "{} elements are no whole groups of {}",
            row.len(),
            self.group()
        );
        for group in row.chunks_exact_mut(self.group()) {
            let mut stride = self.group() / 4;
            while stride > 0 {
                for block in group.chunks_exact_mut(4 * stride) {
                    let (ab, cd) = block.split_at_mut(2 * stride);
                    let (a, b) = ab.split_at_mut(stride);
                    let (c, d) = cd.split_at_mut(stride);
                    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                        let (sum_ab, sum_cd, less_ab, less_cd) = (*a + *b, *c + *d, *a - *b, *c - *d);
                        *a = 0.5 * (sum_ab + less_cd);
                        *b = 0.5 * (sum_ab - less_cd);
                        *c = 0.5 * (less_ab + sum_cd);
                        *d = 0.5 * (sum_cd - less_ab);
                    }
                }
                stride /= 4;
            }
        }
    }
}

/// Quantises a row to signed bytes, ties to even; returns its scale: the largest magnitude over 127, at least
/// [`LEAST_SCALE`], NaN where an element is.
///
/// # Panics
/// If `row` and `out` differ in length.
pub fn quantize_row(row: &[f32], out: &mut [i8]) -> f32 {
    assert_eq!(row.len(), out.len(), "a byte for each element");
    // As integers, magnitudes have their order, and NaN is the highest.
    let most = row.iter().map(|v| v.abs().to_bits()).max().unwrap_or(0);
    let scale = f32::from_bits(most) / 127.0;
    let scale = if scale < LEAST_SCALE { LEAST_SCALE } else { scale };
    for (q, v) in out.iter_mut().zip(row) {
        *q = (v / scale).round_ties_even() as i8;
    }
    scale
}

/// Rows whose sum [`column_means`] makes at once.
pub const MEAN_BLOCK: usize = 128;

/// The mean of each column of `x`, whose rows have `width` elements: sums of [`MEAN_BLOCK`] rows, then the sum of these,
/// in order. Kernels add in the same order, so that they get the same bits.
pub fn column_means(x: &[f32], width: usize) -> Vec<f32> {
    let add = |sums: &mut Vec<f32>, row: &[f32]| sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
    let mut means = vec![0.0; width];
    for block in x.chunks(MEAN_BLOCK * width) {
        let mut sums = vec![0.0; width];
        block.chunks_exact(width).for_each(|row| add(&mut sums, row));
        add(&mut means, &sums);
    }
    let factor = 1.0 / (x.len() / width) as f32;
    means.iter_mut().for_each(|mean| *mean *= factor);
    means
}

#[cfg(test)]
mod tests {
    use super::{LEAST_SCALE, MEAN_BLOCK, column_means, quantize_row};
    use crate::Rotation;

    /// The matrix's element, from its definition.
    fn element(rotation: Rotation, mut row: usize, mut column: usize) -> f64 {
        let mut product = 1.0 / (rotation.group() as f64).sqrt();
        for _ in 0..rotation.group().ilog(4) {
            if row % 4 + column % 4 == 3 {
                product = -product;
            }
            (row, column) = (row / 4, column / 4);
        }
        product
    }

    #[test]
    fn rotations_are_products_with_their_matrix() {
        for rotation in Rotation::ALL {
            let g = rotation.group();
            let x: Vec<f32> = (0..2 * g).map(|i| ((i * 37) % 101) as f32 - 50.0).collect();
            let mut rotated = x.clone();
            rotation.rotate(&mut rotated);
            for (i, found) in rotated.iter().enumerate() {
                let group = &x[i / g * g..][..g];
                let expected: f64 = (0..g).map(|j| element(rotation, i % g, j) * f64::from(group[j])).sum();
                assert!((f64::from(*found) - expected).abs() < 1e-3, "{rotation:?} {i}");
            }
            rotation.rotate(&mut rotated);
            assert_eq!(rotated, x, "{rotation:?} twice");
        }
    }

    #[test]
    fn rows_are_quantised_to_the_nearest_even() {
        let mut q = [0; 5];
        let scale = quantize_row(&[127.0, -127.0, 2.5, 3.5, -0.5], &mut q);
        assert_eq!((scale, q), (1.0, [127, -127, 2, 4, 0]));
        assert_eq!(quantize_row(&[0.0; 5], &mut q), LEAST_SCALE);
        assert_eq!(q, [0; 5]);
        assert!(quantize_row(&[1.0, f32::NAN, 0.0, 0.0, 0.0], &mut q).is_nan());
        assert_eq!(quantize_row(&[], &mut []), LEAST_SCALE);
    }

    #[test]
    fn means_are_of_columns() {
        assert_eq!(column_means(&[1.0, 8.0, 2.0, 16.0], 2), [1.5, 12.0]);
        let rows = MEAN_BLOCK + 2;
        let x: Vec<f32> = (0..rows).flat_map(|i| [i as f32, 3.0]).collect();
        assert_eq!(column_means(&x, 2), [(rows - 1) as f32 / 2.0, 3.0]);
    }
}
