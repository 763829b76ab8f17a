//! Sigma grids: which noise levels a run visits and which timestep the model is told there.
//!
//! Each source computes its grid in its own precision and order; these functions follow it, because an integer
//! timestep is a truncation and would jump otherwise.

use std::str::FromStr;

use super::error::{Result, SamplerError};

/// Most steps a run may have (the training schedules have 1000 levels).
pub const MAX_STEPS: usize = 10_000;

/// Training timesteps of the Wan models (and of every preset).
const TRAIN_STEPS: f64 = 1000.0;

/// The noise levels of a run of `n` steps and what the model is told at each.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// `n + 1` noise levels: one before each step, then the final one (0, or 1 for inverted sigmas).
    pub sigmas: Vec<f32>,
    /// `n` timesteps for the model, in units of 1/1000 of the noise level: whole numbers or not, by source.
    pub timesteps: Vec<f32>,
}

/// Warp of a uniform grid towards high noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shift {
    /// `s·t / (1 + (s - 1)·t)`.
    Constant(f64),
    /// `e^mu / (e^mu + 1/t - 1)`: the same curve with `s = e^mu`, as dynamic shifting writes it.
    Exponential(f64),
    /// `mu / (mu + 1/t - 1)`: the same curve with `s = mu`.
    Linear(f64),
}

impl Shift {
    /// The shifted level of `t` in `[0, 1]`.
    pub fn apply(self, t: f64) -> f64 {
        match self {
            Self::Constant(s) => s * t / (1.0 + (s - 1.0) * t),
            Self::Exponential(mu) => mu.exp() / (mu.exp() + (1.0 / t - 1.0)),
            Self::Linear(mu) => mu / (mu + (1.0 / t - 1.0)),
        }
    }
}

/// ComfyUI's names for a walk over its sigma table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ComfyScheduler {
    /// Evenly spaced entries of the table (what the Wan templates use).
    #[default]
    Simple,
    /// Evenly spaced timesteps between the table's ends.
    Normal,
}

impl ComfyScheduler {
    /// Every scheduler, by name.
    pub const ALL: [(&str, Self); 2] = [("simple", Self::Simple), ("normal", Self::Normal)];
}

impl FromStr for ComfyScheduler {
    type Err = SamplerError;

    fn from_str(name: &str) -> Result<Self> {
        super::registry::by_name("scheduler", &Self::ALL, name)
    }
}

impl Schedule {
    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.timesteps.len()
    }

    /// The original Wan repositories' UniPC grid: `linspace(0.999, 0, n + 1)` without its end, shifted, then 0;
    /// timesteps truncated to whole numbers.
    ///
    /// Source: Wan 2.2 `wan/utils/fm_solvers_unipc.py` `set_timesteps`; 0.999 is the f32 value.
    ///
    /// # Errors
    /// For a step count or shift out of range.
    pub fn wan_unipc(steps: usize, shift: f64) -> Result<Self> {
        check(steps, shift)?;
        let start = f64::from((1.0 - 1.0 / TRAIN_STEPS) as f32);
        let mut grid = linspace(start, 0.0, steps + 1);
        grid.truncate(steps);
        Self::truncated(
            grid.into_iter().map(|t| Shift::Constant(shift).apply(t)).collect(),
            TRAIN_STEPS,
        )
    }

    /// The original Wan repositories' grid for DPM++: `linspace(1, 0, n + 1)` without its end, shifted, then 0;
    /// timesteps truncated to whole numbers (the first is 1000).
    ///
    /// Source: Wan 2.2 `wan/utils/fm_solvers.py` `get_sampling_sigmas`.
    ///
    /// # Errors
    /// For a step count or shift out of range.
    pub fn wan_dpmpp(steps: usize, shift: f64) -> Result<Self> {
        check(steps, shift)?;
        let mut grid = linspace(1.0, 0.0, steps + 1);
        grid.truncate(steps);
        Self::truncated(
            grid.into_iter().map(|t| Shift::Constant(shift).apply(t)).collect(),
            TRAIN_STEPS,
        )
    }

    /// [`Schedule::wan_dpmpp`] over levels that were computed elsewhere; 0 is appended.
    pub(super) fn wan_sigmas(sigmas: &[f64]) -> Result<Self> {
        check_steps(sigmas.len())?;
        Self::truncated(sigmas.to_vec(), TRAIN_STEPS)
    }

    /// diffusers' UniPC grid with `use_flow_sigmas`: `grid` (by default `linspace(1, 1/train_steps, n + 1)`
    /// without its end), shifted, stretched to `terminal`, a first sigma of 1 lowered by 1e-6, then 0; timesteps
    /// truncated to whole numbers.
    ///
    /// Source: diffusers 0.42 `UniPCMultistepScheduler.set_timesteps`.
    ///
    /// # Errors
    /// For a step count, shift or grid out of range.
    pub fn diffusers_unipc(
        steps: usize,
        shift: Shift,
        terminal: Option<f64>,
        grid: Option<&[f64]>,
        train_steps: f64,
    ) -> Result<Self> {
        check_steps(steps)?;
        let grid = match grid {
            Some(grid) => grid.to_vec(),
            None => {
                let mut grid = linspace(1.0, 1.0 / train_steps, steps + 1);
                grid.truncate(steps);
                grid
            }
        };
        let mut sigmas = stretched(grid.into_iter().map(|t| shift.apply(t)).collect(), terminal);
        const EPS: f64 = 1e-6;
        if let Some(first) = sigmas.first_mut()
            && (*first - 1.0).abs() < EPS
        {
            *first -= EPS;
        }
        Self::truncated(sigmas, train_steps)
    }

    /// diffusers' DPM-Solver grid with `use_flow_sigmas`: `1 - linspace(1, 1/train_steps, n + 1)`, shifted,
    /// reversed, without its end, then 0; timesteps truncated to whole numbers.
    ///
    /// Source: diffusers 0.42 `DPMSolverMultistepScheduler.set_timesteps`.
    ///
    /// # Errors
    /// For a step count or shift out of range.
    pub fn diffusers_dpmpp(steps: usize, shift: f64, train_steps: f64) -> Result<Self> {
        check(steps, shift)?;
        let alphas = linspace(1.0, 1.0 / train_steps, steps + 1);
        let sigmas = alphas[1..]
            .iter()
            .rev()
            .map(|alpha| Shift::Constant(shift).apply(1.0 - alpha))
            .collect();
        Self::truncated(sigmas, train_steps)
    }

    /// diffusers' flow-match Euler grid: `grid` (by default evenly spaced between the ends of the training
    /// schedule, which a constant shift has already warped once), shifted, stretched to `terminal`, then 0;
    /// timesteps `sigma·train_steps`, not rounded. `invert` turns every level into `1 - sigma`.
    ///
    /// Source: diffusers 0.42 `FlowMatchEulerDiscreteScheduler.set_timesteps`.
    ///
    /// # Errors
    /// For a step count, shift or grid out of range.
    pub fn diffusers_euler(
        steps: usize,
        shift: Shift,
        terminal: Option<f64>,
        invert: bool,
        grid: Option<&[f64]>,
        train_steps: f64,
    ) -> Result<Self> {
        check_steps(steps)?;
        let grid: Vec<f64> = match grid {
            // The source rounds a given grid to f32.
            Some(grid) => grid.iter().map(|&sigma| f64::from(sigma as f32)).collect(),
            None => {
                let end = |t: f32| match shift {
                    Shift::Constant(s) => (s as f32) * t / (1.0 + ((s - 1.0) as f32) * t),
                    Shift::Exponential(_) | Shift::Linear(_) => t,
                };
                let (max, min) = (f64::from(end(1.0)), f64::from(end(1.0 / train_steps as f32)));
                linspace(max * train_steps, min * train_steps, steps)
                    .into_iter()
                    .map(|t| t / train_steps)
                    .collect()
            }
        };
        let sigmas = stretched(grid.into_iter().map(|t| shift.apply(t)).collect(), terminal);
        let levels = sigmas
            .into_iter()
            .map(|sigma| if invert { 1.0 - sigma as f32 } else { sigma as f32 });
        Self::unrounded(levels.collect(), if invert { 1.0 } else { 0.0 }, train_steps as f32)
    }

    /// ComfyUI's grid for flow models: a walk over the table `shift((i + 1)/1000)`, then 0; timesteps
    /// `sigma·1000`, not rounded. The first sigma is exactly 1.
    ///
    /// Source: ComfyUI 0.33 `comfy/model_sampling.py` `ModelSamplingDiscreteFlow`, `comfy/samplers.py`
    /// `simple_scheduler` and `normal_scheduler`.
    ///
    /// # Errors
    /// For a step count or shift out of range.
    pub fn comfy(scheduler: ComfyScheduler, steps: usize, shift: f64) -> Result<Self> {
        check(steps, shift)?;
        // `timestep` is scaled by 1000 and back in f32, as the source does.
        let sigma_at = |timestep: f32| {
            let t = timestep / 1000.0;
            if shift == 1.0 {
                t
            } else {
                (shift as f32) * t / (1.0 + ((shift - 1.0) as f32) * t)
            }
        };
        let table = |entry: usize| sigma_at(entry as f32 / 1000.0 * 1000.0);
        let levels = match scheduler {
            ComfyScheduler::Simple => {
                let stride = TRAIN_STEPS / steps as f64;
                (0..steps).map(|i| table(1000 - (i as f64 * stride) as usize)).collect()
            }
            ComfyScheduler::Normal => {
                let ends = [1000, 1].map(|entry| f64::from(table(entry) * 1000.0));
                linspace(ends[0], ends[1], steps)
                    .into_iter()
                    .map(|t| sigma_at(t as f32))
                    .collect()
            }
        };
        Self::unrounded(levels, 0.0, TRAIN_STEPS as f32)
    }

    /// A schedule that ends at 0 with truncated timesteps, from its levels in f64.
    fn truncated(sigmas: Vec<f64>, train_steps: f64) -> Result<Self> {
        let timesteps = sigmas
            .iter()
            .map(|sigma| (sigma * train_steps).trunc() as f32)
            .collect();
        let sigmas = sigmas.into_iter().map(|sigma| sigma as f32).chain([0.0]).collect();
        Self { sigmas, timesteps }.checked()
    }

    /// A schedule that ends at `last` with timesteps as they come, from its levels in f32.
    fn unrounded(mut sigmas: Vec<f32>, last: f32, train_steps: f32) -> Result<Self> {
        let timesteps = sigmas.iter().map(|sigma| sigma * train_steps).collect();
        sigmas.push(last);
        Self { sigmas, timesteps }.checked()
    }

    fn checked(self) -> Result<Self> {
        match self.sigmas.iter().find(|sigma| !(0.0..=1.0).contains(*sigma)) {
            Some(sigma) => Err(SamplerError::Sigmas(format!("level {sigma} is outside 0 to 1"))),
            None => Ok(self),
        }
    }

    /// What a solver in log-SNR needs: levels that fall strictly, from at most 1 to exactly 0.
    pub(super) fn check_falls_to_zero(&self) -> Result<()> {
        let wrong = |why: String| Err(SamplerError::Sigmas(why));
        if self.timesteps.is_empty() || self.sigmas.len() != self.timesteps.len() + 1 {
            return wrong(format!(
                "{} levels for {} steps",
                self.sigmas.len(),
                self.timesteps.len()
            ));
        }
        let inside = (0.0..=1.0).contains(&self.sigmas[0]);
        if !inside || self.sigmas.last() != Some(&0.0) {
            return wrong("levels must start at 1 or below and end at 0".into());
        }
        let falls = |pair: &[f32]| pair[0] > pair[1];
        match self.sigmas.windows(2).find(|pair| !falls(pair)) {
            Some(pair) => wrong(format!(
                "level {} is followed by {}: this solver needs falling levels",
                pair[0], pair[1]
            )),
            None => Ok(()),
        }
    }
}

/// numpy's `linspace(start, stop, n)`: `start + i·step`, the last value exactly `stop`.
fn linspace(start: f64, stop: f64, n: usize) -> Vec<f64> {
    let step = (stop - start) / (n.max(2) - 1) as f64;
    let mut grid: Vec<f64> = (0..n).map(|i| i as f64 * step + start).collect();
    if n > 1 {
        grid[n - 1] = stop;
    }
    grid
}

/// Stretches a falling grid so that it ends at `terminal` (diffusers' `stretch_shift_to_terminal`; 0 means off).
fn stretched(sigmas: Vec<f64>, terminal: Option<f64>) -> Vec<f64> {
    let Some(terminal) = terminal.filter(|&terminal| terminal != 0.0) else {
        return sigmas;
    };
    let scale = sigmas.last().map_or(1.0, |last| (1.0 - last) / (1.0 - terminal));
    sigmas.into_iter().map(|sigma| 1.0 - (1.0 - sigma) / scale).collect()
}

fn check_steps(steps: usize) -> Result<()> {
    if (1..=MAX_STEPS).contains(&steps) {
        Ok(())
    } else {
        Err(SamplerError::Steps(steps))
    }
}

fn check(steps: usize, shift: f64) -> Result<()> {
    check_steps(steps)?;
    if shift.is_finite() && shift > 0.0 {
        Ok(())
    } else {
        Err(SamplerError::Shift(shift))
    }
}
