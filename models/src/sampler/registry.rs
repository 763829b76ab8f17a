//! Samplers and presets by name.

use std::fmt;
use std::str::FromStr;

use super::{ComfyScheduler, DpmSolverPp, Euler, Result, Sampler, SamplerError, Schedule, UniPc, schedule::Shift};

/// A solver, as the command line names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SamplerKind {
    /// UniPC of order 2 (the default of Wan's repositories and of diffusers' Wan pipelines).
    #[default]
    UniPc,
    /// UniPC of order 3.
    UniPc3,
    /// Euler (flow match).
    Euler,
    /// DPM-Solver++ 2M (Wan's `dpm++`).
    DpmPp2m,
}

/// Whose sigma grid and timestep rounding to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preset {
    /// The model's original repository.
    #[default]
    Official,
    /// The diffusers library.
    Diffusers,
    /// ComfyUI (its `simple` scheduler).
    Comfy,
}

impl SamplerKind {
    /// Every sampler, by name.
    pub const ALL: [(&str, Self); 4] = [
        ("unipc", Self::UniPc),
        ("unipc3", Self::UniPc3),
        ("euler", Self::Euler),
        ("dpm++", Self::DpmPp2m),
    ];

    /// The solver over a given schedule.
    ///
    /// # Errors
    /// [`SamplerError::Sigmas`] if this solver cannot walk the schedule.
    pub fn with_schedule(self, schedule: Schedule) -> Result<Box<dyn Sampler>> {
        Ok(match self {
            Self::UniPc => Box::new(UniPc::new(schedule, 2)?),
            Self::UniPc3 => Box::new(UniPc::new(schedule, 3)?),
            Self::Euler => Box::new(Euler::new(schedule)),
            Self::DpmPp2m => Box::new(DpmSolverPp::new(schedule, 2)?),
        })
    }
}

impl Preset {
    /// Every preset, by name.
    pub const ALL: [(&str, Self); 3] = [
        ("official", Self::Official),
        ("diffusers", Self::Diffusers),
        ("comfy", Self::Comfy),
    ];

    /// The schedule that this source gives a solver. The original repositories have no Euler: it gets the grid
    /// that they give to DPM++.
    ///
    /// # Errors
    /// For a step count or shift out of range.
    pub fn schedule(self, kind: SamplerKind, steps: usize, shift: f64) -> Result<Schedule> {
        const TRAIN_STEPS: f64 = 1000.0;
        if !(shift.is_finite() && shift > 0.0) {
            return Err(SamplerError::Shift(shift));
        }
        let constant = Shift::Constant(shift);
        match (self, kind) {
            (Self::Official, SamplerKind::UniPc | SamplerKind::UniPc3) => Schedule::wan_unipc(steps, shift),
            (Self::Official, SamplerKind::Euler | SamplerKind::DpmPp2m) => Schedule::wan_dpmpp(steps, shift),
            (Self::Diffusers, SamplerKind::UniPc | SamplerKind::UniPc3) => {
                Schedule::diffusers_unipc(steps, constant, None, None, TRAIN_STEPS)
            }
            (Self::Diffusers, SamplerKind::Euler) => {
                Schedule::diffusers_euler(steps, constant, None, false, None, TRAIN_STEPS)
            }
            (Self::Diffusers, SamplerKind::DpmPp2m) => Schedule::diffusers_dpmpp(steps, shift, TRAIN_STEPS),
            (Self::Comfy, _) => Schedule::comfy(ComfyScheduler::Simple, steps, shift),
        }
    }
}

/// A sampler by name: the solver `kind` over the grid of `preset` with `steps` steps and timestep shift `shift`.
///
/// # Errors
/// For a step count or shift out of range.
pub fn build(kind: SamplerKind, preset: Preset, steps: usize, shift: f64) -> Result<Box<dyn Sampler>> {
    kind.with_schedule(preset.schedule(kind, steps, shift)?)
}

/// Looks `name` up in a table of names.
pub(super) fn by_name<T: Copy>(what: &'static str, table: &[(&str, T)], name: &str) -> Result<T> {
    table
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|&(_, value)| value)
        .ok_or_else(|| {
            let known: Vec<&str> = table.iter().map(|&(known, _)| known).collect();
            SamplerError::UnknownName {
                what,
                name: name.into(),
                known: known.join(", "),
            }
        })
}

fn name_of<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    table
        .iter()
        .find(|(_, known)| known == value)
        .map_or("", |&(name, _)| name)
}

impl FromStr for SamplerKind {
    type Err = SamplerError;

    fn from_str(name: &str) -> Result<Self> {
        by_name("sampler", &Self::ALL, name)
    }
}

impl FromStr for Preset {
    type Err = SamplerError;

    fn from_str(name: &str) -> Result<Self> {
        by_name("preset", &Self::ALL, name)
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(name_of(&Self::ALL, self))
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(name_of(&Self::ALL, self))
    }
}
