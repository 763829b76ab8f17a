//! Results against the processor's.

use super::report::Check;

/// Largest difference of a single operation, relative to the largest expected number: other orders of summation over
/// the longest rows, in f32.
pub(super) const TOLERANCE: f64 = 2e-5;

/// The same after the layers of a whole graph.
pub(super) const GRAPH_TOLERANCE: f64 = 2e-3;

/// Compares results of `of` numbers in all.
pub(super) fn compare(found: &[f32], expected: &[f32], of: usize, tolerance: f64) -> Check {
    let scale = expected.iter().fold(f32::MIN_POSITIVE, |scale, v| scale.max(v.abs()));
    let pairs = found.iter().zip(expected);
    // What is not a number differs by infinity.
    let worst = pairs.fold(0.0, |worst: f64, (f, e)| {
        let difference = f64::from((f - e).abs());
        if difference.is_nan() {
            f64::INFINITY
        } else {
            worst.max(difference)
        }
    });
    let error = worst / f64::from(scale);
    Check {
        compared: expected.len(),
        of,
        // JSON has no infinity.
        error: error.min(f64::MAX),
        tolerance,
        method_error: None,
        passed: found.len() == expected.len() && error <= tolerance,
    }
}

impl Check {
    /// The same, but only passed where `passed` is set too.
    pub(super) fn and(self, passed: bool) -> Self {
        Self {
            passed: self.passed && passed,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn what_differs_or_is_no_number_does_not_pass() {
        assert!(compare(&[1.0, 2.0], &[1.0, 2.0], 9, 0.0).passed);
        assert!(!compare(&[1.0, 2.1], &[1.0, 2.0], 9, 1e-3).passed);
        assert!(!compare(&[1.0, f32::NAN], &[1.0, 2.0], 9, 1e-3).passed);
        assert!(!compare(&[f32::NAN, 1.0], &[1.0, 1.0], 9, 1e-3).passed);
        assert!(!compare(&[1.0], &[1.0, 2.0], 9, 1e-3).passed);
    }
}
