//! Steps that are not computed because little would change: EasyCache (Zhou et al. 2025, arXiv 2507.02860).

use serde::{Deserialize, Serialize};

/// Steps at the start of a run that are always computed, as in the authors' program for Wan 2.2. The last step is as
/// well, and the first one of each expert.
pub(super) const FIRST_STEPS: usize = 7;

/// What decides which steps to skip, and gives the velocity of those.
///
/// With x the latent and v the velocity, a skipped step takes `v = x + (v' − x')` from the last computed one. Each step
/// that may be skipped adds `k · mean|x − x of the step before| / mean|v'|` to the change expected since then, where
/// `k = mean|Δv| / mean|Δx|` between the last two computed steps; the step is computed once that reaches the threshold.
/// Of a guided step the rule looks at the pass with the prompt alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepCache {
    rate: Option<f64>,
    expected_change: f64,
    skipped: usize,
    /// The latent of the step before.
    #[serde(skip)]
    latent: Vec<f32>,
    #[serde(skip)]
    computed: Computed,
}

/// The last computed step; nothing before the first.
#[derive(Clone, Debug, Default, PartialEq)]
struct Computed {
    latent: Vec<f32>,
    /// The velocity with the prompt.
    prompted: Vec<f32>,
    /// v' − x', guided.
    difference: Vec<f32>,
}

impl StepCache {
    /// The velocity at `latent`, if this step is skipped. Asked once in each step; `may_skip` is whether this one
    /// can be at all.
    pub(super) fn reuse(&mut self, latent: &[f32], threshold: f64, may_skip: bool) -> Option<Vec<f32>> {
        let skip = may_skip && self.expects_less_than(threshold, latent);
        self.latent = latent.to_vec();
        if !skip {
            self.expected_change = 0.0;
            return None;
        }
        self.skipped += 1;
        let pairs = latent.iter().zip(&self.computed.difference);
        Some(pairs.map(|(x, difference)| x + difference).collect())
    }

    fn expects_less_than(&mut self, threshold: f64, latent: &[f32]) -> bool {
        let Some(rate) = self.rate else { return false };
        let output = mean(self.computed.prompted.iter().map(|v| f64::from(v.abs())));
        self.expected_change += rate * mean_change(latent, &self.latent) / output;
        // Not so either where it is no number.
        self.expected_change < threshold
    }

    /// Keeps a computed step: the velocity of the pass with the prompt, and the guided one.
    pub(super) fn keep(&mut self, latent: &[f32], prompted: Vec<f32>, velocity: &[f32]) {
        let before = &self.computed;
        if !before.latent.is_empty() {
            self.rate = Some(mean_change(&prompted, &before.prompted) / mean_change(latent, &before.latent));
        }
        self.computed = Computed {
            latent: latent.to_vec(),
            prompted,
            difference: velocity.iter().zip(latent).map(|(v, x)| v - x).collect(),
        };
    }

    /// Steps skipped so far.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// What is kept as tensors, each with its name; all empty before the first step.
    pub(super) fn tensors(&mut self) -> [(&'static str, &mut Vec<f32>); 4] {
        [
            ("step_cache.latent", &mut self.latent),
            ("step_cache.computed_latent", &mut self.computed.latent),
            ("step_cache.prompted", &mut self.computed.prompted),
            ("step_cache.difference", &mut self.computed.difference),
        ]
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn mean_change(a: &[f32], b: &[f32]) -> f64 {
    mean(a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Latents 0, 1, 2, … and a velocity of 10 plus a tenth of the latent, computed where the cache does not skip.
    fn computed_steps(threshold: f64, first: usize, count: usize) -> Vec<usize> {
        let mut cache = StepCache::default();
        let mut computed = Vec::new();
        for step in 0..count {
            let x = [step as f32, step as f32 + 1.0];
            let may_skip = step >= first && step + 1 < count;
            match cache.reuse(&x, threshold, may_skip) {
                Some(v) => {
                    let last = *computed.last().unwrap() as f32;
                    let expected = x.map(|x| x + (10.0 + last * 0.1) - last);
                    assert!((v[0] - expected[0]).abs() < 1e-5, "{v:?} {expected:?}");
                }
                None => {
                    let v = x.map(|x| 10.0 + 0.1 * x);
                    cache.keep(&x, v.to_vec(), &v);
                    computed.push(step);
                }
            }
        }
        assert_eq!(cache.skipped(), count - computed.len());
        computed
    }

    #[test]
    fn steps_are_skipped_while_little_changes() {
        // k is 0.1, an input changes by 1, and outputs are 10 to 11 in the mean: about 0.01 a step.
        assert_eq!(computed_steps(0.0, 2, 10), (0..10).collect::<Vec<_>>());
        assert_eq!(computed_steps(0.015, 2, 10), [0, 1, 3, 5, 7, 9]);
        assert_eq!(computed_steps(0.025, 2, 10), [0, 1, 4, 7, 9]);
        assert_eq!(computed_steps(9.0, 3, 10), [0, 1, 2, 9]);
        // Without two computed steps there is no k.
        assert_eq!(computed_steps(9.0, 0, 5), [0, 1, 4]);
    }

    #[test]
    fn latents_that_stand_still_are_computed() {
        let mut cache = StepCache::default();
        for _ in 0..3 {
            assert_eq!(cache.reuse(&[1.0], 0.5, true), None);
            cache.keep(&[1.0], vec![2.0], &[2.0]);
        }
    }
}
