//! The plain version.

use super::{ExpertWeights, Params, Scoring};

/// What the kernel does, with sums in f64.
pub fn reference(kernel: &ExpertWeights, p: &Params, logits: &[f32], ids: &[u32], out: &mut [f32]) {
    let (columns, k) = (p.columns as usize, p.k as usize);
    for row in p.first_row as usize..(p.first_row + p.rows) as usize {
        let logits: Vec<f64> = logits[row * columns..][..columns]
            .iter()
            .map(|v| f64::from(*v))
            .collect();
        let chosen: Vec<f64> = ids[row * k..][..k].iter().map(|id| logits[*id as usize]).collect();
        let softmax = |among: &[f64]| -> Vec<f64> {
            let highest = among.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = among.iter().map(|v| (v - highest).exp()).sum();
            chosen.iter().map(|v| (v - highest).exp() / sum).collect()
        };
        let scores = match kernel.scoring {
            Scoring::Softmax => softmax(&logits),
            Scoring::SoftmaxOfChosen => softmax(&chosen),
            Scoring::Sigmoid => chosen.iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect(),
        };
        let total = if kernel.normalize { scores.iter().sum() } else { 1.0 };
        for (out, score) in out[row * k..][..k].iter_mut().zip(scores) {
            *out = (score / total * f64::from(p.scale)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ExpertWeights, Params, Scoring, reference};

    #[test]
    fn weights_by_hand() {
        let p = Params {
            rows: 1,
            columns: 3,
            k: 2,
            scale: 2.0,
            ..Params::default()
        };
        // Shares 1/2, 1/4, 1/4 of the softmax; sigmoids of 0 and -ln 2.
        let logits = [0.0, -std::f32::consts::LN_2, -std::f32::consts::LN_2];
        for (scoring, normalize, expected) in [
            (Scoring::Softmax, false, [1.0, 0.5]),
            (Scoring::Softmax, true, [4.0 / 3.0, 2.0 / 3.0]),
            (Scoring::SoftmaxOfChosen, false, [4.0 / 3.0, 2.0 / 3.0]),
            (Scoring::Sigmoid, false, [1.0, 2.0 / 3.0]),
            (Scoring::Sigmoid, true, [1.2, 0.8]),
        ] {
            let mut out = [0.0; 2];
            reference(&ExpertWeights { scoring, normalize }, &p, &logits, &[0, 2], &mut out);
            for (found, expected) in out.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{scoring:?} {normalize}: {out:?}");
            }
        }
    }
}
