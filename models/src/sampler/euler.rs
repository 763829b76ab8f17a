//! Euler's method on the flow ODE: `x += (sigma_next - sigma)·v`.
//!
//! Source: diffusers 0.42 `FlowMatchEulerDiscreteScheduler.step`; ComfyUI's `euler` is the same for flow models.

use super::{Result, Sampler, SamplerState, Schedule, linear::combine};

const NAME: &str = "euler";

/// First-order solver; follows the schedule in either direction (Mochi's inverted sigmas rise).
#[derive(Clone, Debug)]
pub struct Euler {
    schedule: Schedule,
    next_step: usize,
}

impl Euler {
    /// A run over `schedule`.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, next_step: 0 }
    }
}

impl Sampler for Euler {
    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn step(&mut self, i: usize, velocity: &[f32], latent: &mut [f32]) {
        assert_eq!(i, self.next_step, "sampler: steps must follow each other");
        let dt = self.schedule.sigmas[i + 1] - self.schedule.sigmas[i];
        combine(latent, 1.0, &[(f64::from(dt), velocity)]);
        self.next_step += 1;
    }

    fn state(&self) -> SamplerState {
        SamplerState {
            solver: NAME.into(),
            next_step: self.next_step,
            ..SamplerState::default()
        }
    }

    fn restore(&mut self, state: SamplerState) -> Result<()> {
        state.check(NAME, self.schedule.steps(), 0)?;
        self.next_step = state.next_step;
        Ok(())
    }
}
