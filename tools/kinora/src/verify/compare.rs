//! How far two tensors are apart.

use kinora_graph::HostTensor;

/// How far a tensor is from another.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Difference {
    /// max|a - b| / max|expected|; infinite where an element is NaN or infinite.
    pub max_rel: f64,
    /// Root of Σ(a - b)² over Σ expected²; infinite where an element is NaN or infinite.
    pub rms_rel: f64,
    /// Cosine of the angle between the flattened tensors, NaN where an element is.
    pub cosine: f64,
}

impl Difference {
    /// No difference at all.
    pub const NONE: Self = Self {
        max_rel: 0.0,
        rms_rel: 0.0,
        cosine: 1.0,
    };

    /// Between two runs of numbers of one length.
    pub fn of(actual: &[f32], expected: &[f32]) -> Self {
        assert_eq!(actual.len(), expected.len(), "tensors of different lengths");
        let (mut apart, mut largest, mut squares) = (0.0f64, 0.0f64, 0.0f64);
        let (mut dot, mut aa, mut ee) = (0.0f64, 0.0f64, 0.0f64);
        let mut finite = true;
        for (a, e) in actual.iter().zip(expected) {
            let (a, e) = (f64::from(*a), f64::from(*e));
            finite &= a.is_finite() && e.is_finite();
            apart = apart.max((a - e).abs());
            largest = largest.max(e.abs());
            squares += (a - e) * (a - e);
            dot += a * e;
            aa += a * a;
            ee += e * e;
        }
        let (max_rel, rms_rel) = match (finite, apart == 0.0) {
            (false, _) => (f64::INFINITY, f64::INFINITY),
            (true, true) => (0.0, 0.0),
            (true, false) => (apart / largest, (squares / ee).sqrt()),
        };
        let cosine = match (aa == 0.0, ee == 0.0) {
            (true, true) => 1.0,
            (false, false) => (dot / (aa.sqrt() * ee.sqrt())).min(1.0),
            _ => 0.0,
        };
        Self {
            max_rel,
            rms_rel,
            cosine,
        }
    }

    /// The worse of both, figure by figure (NaN is worst).
    pub fn worst(self, other: Self) -> Self {
        let cosine = if self.cosine.is_nan() || self.cosine < other.cosine {
            self.cosine
        } else {
            other.cosine
        };
        Self {
            max_rel: self.max_rel.max(other.max_rel),
            rms_rel: self.rms_rel.max(other.rms_rel),
            cosine,
        }
    }

    /// Whether both figures are within `tolerance`; NaN never is.
    pub fn within(&self, tolerance: super::Tolerance) -> bool {
        self.max_rel <= tolerance.max_rel && self.cosine >= tolerance.cosine
    }
}

/// Compares two tensors of activations; with `rows`, only the first rows of each batch element of `[B, N, C]`.
///
/// # Errors
/// In words, where they cannot be compared: ids, or different shapes.
pub(crate) fn difference(
    actual: &HostTensor,
    expected: &HostTensor,
    rows: Option<usize>,
) -> Result<Difference, String> {
    if actual.shape != expected.shape {
        return Err(format!(
            "its shape is {:?}, the reference's {:?}",
            actual.shape, expected.shape
        ));
    }
    let (a, e) = (
        actual.as_f32().map_err(|e| e.to_string())?,
        expected.as_f32().map_err(|e| e.to_string())?,
    );
    match (rows, actual.shape.as_slice()) {
        (Some(rows), &[_, n, c]) if rows < n => {
            let valid = |x: &[f32]| -> Vec<f32> {
                x.chunks_exact((n * c).max(1))
                    .flat_map(|element| &element[..rows * c])
                    .copied()
                    .collect()
            };
            Ok(Difference::of(&valid(a), &valid(e)))
        }
        _ => Ok(Difference::of(a, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_format() {
        let d = Difference::of(&[3.0, 4.5], &[3.0, 4.0]);
        assert!((d.max_rel - 0.125).abs() < 1e-12);
        assert!((d.rms_rel - 0.1).abs() < 1e-12);
        assert!((d.cosine - 27.0 / (29.25f64.sqrt() * 5.0)).abs() < 1e-12);
        assert_eq!(Difference::of(&[], &[]), Difference::NONE);
        assert_eq!(Difference::of(&[0.0], &[0.0]), Difference::NONE);
        assert_eq!(
            Difference::of(&[1.0], &[0.0]),
            Difference {
                max_rel: f64::INFINITY,
                rms_rel: f64::INFINITY,
                cosine: 0.0
            }
        );
    }

    #[test]
    fn nothing_that_is_not_a_number_passes() {
        let loose = super::super::Tolerance {
            cosine: 0.1,
            max_rel: 0.9,
        };
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (a, e) in [
                ([1.0, bad], [1.0, 2.0]),
                ([1.0, 2.0], [1.0, bad]),
                ([1.0, bad], [1.0, bad]),
            ] {
                let d = Difference::of(&a, &e);
                assert!(!d.within(loose), "{a:?} {e:?} {d:?}");
                assert!(!Difference::NONE.worst(d).within(loose) && !d.worst(Difference::NONE).within(loose));
            }
        }
    }

    #[test]
    fn padding_rows_are_left_out_where_the_case_says_so() {
        let tensor = |values: [f32; 8]| HostTensor::f32(&[2, 2, 2], values.to_vec());
        let a = tensor([1.0, 2.0, 9.0, 9.0, 3.0, 4.0, 9.0, 9.0]);
        let e = tensor([1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0]);
        assert_eq!(difference(&a, &e, Some(1)), Ok(Difference::NONE));
        assert!(difference(&a, &e, None).unwrap().max_rel > 1.0);
        assert!(
            difference(&a, &HostTensor::f32(&[8], vec![0.0; 8]), None)
                .unwrap_err()
                .contains("shape")
        );
    }
}
