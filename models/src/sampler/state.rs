//! State of a solver between two steps, as plain data.

use serde::{Deserialize, Serialize};

use super::error::{Result, SamplerError};

/// What a solver carries from one step to the next. Restoring it gives the same bits as never having stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SamplerState {
    /// Which solver made it: checked by [`restore`](super::Sampler::restore).
    pub solver: String,
    /// Index of the next step.
    pub next_step: usize,
    /// Order of the last predictor (UniPC's corrector uses the same); 0 where the solver has none.
    pub last_order: usize,
    /// Earlier predictions of x0, newest first (each as long as the latent).
    pub history: Vec<Vec<f32>>,
    /// The latent before the last predictor (UniPC).
    pub last_sample: Option<Vec<f32>>,
}

impl SamplerState {
    /// Checks everything that a solver with `steps` steps and `depth` history tensors relies on.
    pub(super) fn check(&self, solver: &str, steps: usize, depth: usize) -> Result<()> {
        let wrong = |why: String| Err(SamplerError::State(why));
        if self.solver != solver {
            return wrong(format!("it was made by `{}`, this is `{solver}`", self.solver));
        }
        if self.next_step > steps {
            return wrong(format!("it is at step {} of a run of {steps}", self.next_step));
        }
        if self.history.len() != depth.min(self.next_step) {
            return wrong(format!(
                "{} history tensors at step {}",
                self.history.len(),
                self.next_step
            ));
        }
        let mut tensors = self.history.iter().chain(&self.last_sample);
        if let Some(first) = tensors.next()
            && tensors.any(|tensor| tensor.len() != first.len())
        {
            return wrong("its tensors differ in length".into());
        }
        Ok(())
    }
}
