//! The one door to the `gemm` crate: checked views, so that no other file needs `unsafe`.

use gemm::Parallelism;

/// A matrix of numbers that lie anywhere in a slice at regular steps.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a> Mat<'a> {
    /// Rows of contiguous elements, `row_step` apart (which may be less than `columns`).
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize, row_step: usize) -> Self {
        assert!(
            extent(rows, columns, row_step) <= data.len(),
            "a matrix reaches past its slice"
        );
        Self {
            data,
            rows,
            columns,
            row_step,
            column_step: 1,
        }
    }

    /// The transposed matrix, without moving anything.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
            ..self
        }
    }
}

/// Where a product goes: rows of contiguous elements, `row_step` apart.
pub(crate) struct Target<'a> {
    data: &'a mut [f32],
    row_step: usize,
}

impl<'a> Target<'a> {
    /// The first row starts at the first element of `data`.
    pub(crate) fn new(data: &'a mut [f32], row_step: usize) -> Self {
        Self { data, row_step }
    }
}

/// What becomes of the target's old elements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Old {
    /// They are not read.
    Overwritten,
    /// The product is added to them.
    AddedTo,
}

/// Who computes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling thread alone: for callers that are one of many tasks.
    One,
    /// The whole pool.
    All,
}

/// `target = factor · a b`, or `target += factor · a b`.
///
/// `gemm` cuts only rows and columns by the number of threads; the order of summation depends on the shape alone
/// (a test compares the bits of runs with different numbers of threads).
pub(crate) fn multiply(target: Target<'_>, old: Old, a: Mat<'_>, b: Mat<'_>, factor: f32, threads: Threads) {
    assert_eq!(a.columns, b.rows, "the matrices do not fit");
    assert!(
        target.row_step >= b.columns && extent(a.rows, b.columns, target.row_step) <= target.data.len(),
        "the product reaches past its slice"
    );
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    // SAFETY: both operands lie within their slices (checked when the views were made: every index is at most
    // `(rows - 1) · row_step + columns - 1`, and transposing keeps the set of indices), the target's rows do not
    // overlap and lie within its slice (checked above), and the target is borrowed exclusively.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            target.data.as_mut_ptr(),
            1,
            target.row_step as isize,
            old == Old::AddedTo,
            a.data.as_ptr(),
            a.column_step as isize,
            a.row_step as isize,
            b.data.as_ptr(),
            b.column_step as isize,
            b.row_step as isize,
            1.0,
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Elements from the first to the last of a matrix, inclusive.
fn extent(rows: usize, columns: usize, row_step: usize) -> usize {
    if rows == 0 || columns == 0 {
        0
    } else {
        (rows - 1) * row_step + columns
    }
}

#[cfg(test)]
mod tests {
    use super::{Mat, Old, Target, Threads, multiply};

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut z = seed;
        std::iter::repeat_with(|| {
            z = z.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (z >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .take(n)
        .collect()
    }

    #[test]
    fn strided_products_are_right() {
        for (m, n, k) in [(1, 1, 1), (1, 9, 40), (7, 1, 3), (5, 70, 2), (33, 65, 129), (3, 5, 0)] {
            let (a, b) = (numbers(m * (k + 3), 1), numbers(n * (k + 2), 2));
            let mut out = numbers(m * (n + 1), 3);
            let before = out.clone();
            let (va, vb) = (Mat::new(&a, m, k, k + 3), Mat::new(&b, n, k, k + 2).transposed());
            multiply(Target::new(&mut out, n + 1), Old::AddedTo, va, vb, 0.5, Threads::One);
            for (i, (new, old)) in out.iter().zip(&before).enumerate() {
                let (row, column) = (i / (n + 1), i % (n + 1));
                let mut expected = f64::from(*old);
                if column < n {
                    for j in 0..k {
                        expected += 0.5 * f64::from(a[row * (k + 3) + j]) * f64::from(b[column * (k + 2) + j]);
                    }
                }
                assert!(
                    (f64::from(*new) - expected).abs() < 1e-5,
                    "{m} {n} {k} at {row} {column}"
                );
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        for (m, n, k) in [(1, 700, 900), (40, 300, 700), (257, 513, 1031), (513, 3, 2000)] {
            let (a, b) = (numbers(m * k, 1), numbers(n * k, 2));
            let run = |threads: usize, how: Threads| {
                let mut out = vec![0.0; m * n];
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let (va, vb) = (Mat::new(&a, m, k, k), Mat::new(&b, n, k, k).transposed());
                pool.install(|| multiply(Target::new(&mut out, n), Old::Overwritten, va, vb, 1.0, how));
                out
            };
            let one = run(1, Threads::One);
            for threads in [1, 2, 3, 7] {
                assert_eq!(run(threads, Threads::All), one, "{m} {n} {k} on {threads} threads");
            }
        }
    }
}
