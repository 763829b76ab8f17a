//! Samplers: the sigma grid of a run and the solver that walks it.
//!
//! All models here are flow-matching models: at noise level `sigma` in `[0, 1]` a latent is
//! `x = (1 - sigma)·x0 + sigma·noise` and the network predicts the velocity `v = noise - x0`, so that
//! `x0 = x - sigma·v`. A [`Schedule`] lists the levels; a [`Sampler`] advances the latent from one level to the
//! next. Updates are linear combinations with f64 coefficients over f32 tensors.
//!
//! [`build`] makes a sampler by name; [`from_diffusers`] makes one from a diffusers scheduler's configuration.
//! A new sampler is one file beside this one and a line in `registry.rs`.

mod config;
mod diffusers;
mod dpmpp;
mod error;
mod euler;
mod linear;
mod original;
mod registry;
mod schedule;
mod state;
mod unipc;

pub use diffusers::from_diffusers;
pub use dpmpp::{DpmSolverPp, SecondOrder};
pub use error::{Result, SamplerError};
pub use euler::Euler;
pub use registry::{Preset, SamplerKind, build};
pub use schedule::{ComfyScheduler, MAX_STEPS, Schedule, Shift};
pub use state::SamplerState;
pub use unipc::UniPc;

/// A solver of the flow ODE over a fixed [`Schedule`].
///
/// State between steps is plain data ([`SamplerState`]), so that a run can be checkpointed and resumed bit for bit.
pub trait Sampler: Send {
    /// The sigma grid and the timesteps for the model.
    fn schedule(&self) -> &Schedule;

    /// Advances `latent` (f32, any shape, flattened) from `sigmas[i]` to `sigmas[i + 1]`, given the model's
    /// velocity there (after guidance; same length).
    ///
    /// # Panics
    /// If `i` is not the next step of the run, or the lengths differ from each other or from earlier steps'.
    fn step(&mut self, i: usize, velocity: &[f32], latent: &mut [f32]);

    /// What later steps depend on: position and history.
    fn state(&self) -> SamplerState;

    /// Continues from a state that the same sampler gave.
    ///
    /// # Errors
    /// [`SamplerError::State`] if the state belongs to another sampler or does not fit this schedule.
    fn restore(&mut self, state: SamplerState) -> Result<()>;
}

#[cfg(test)]
mod tests;
