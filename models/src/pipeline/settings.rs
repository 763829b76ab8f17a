//! Everything that decides what a clip looks like, besides the model and the picture.

use kinora_graph::Scores;
use serde::{Deserialize, Serialize};

use crate::sampler::{self, Preset, Sampler, SamplerKind};
use crate::wan::Model;
use crate::{Error, Result};

/// Settings of one clip. Kept in the clip's metadata and in checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What to show.
    pub prompt: String,
    /// What to steer away from.
    pub negative_prompt: String,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Frames, 4n + 1.
    pub frames: usize,
    /// Frames per second.
    pub fps: f64,
    /// Sampling steps.
    pub steps: usize,
    /// Guidance of the high-noise expert (or the only one) and of the low-noise one; 1 or less is none.
    pub guidance: [f64; 2],
    /// Timestep shift.
    pub shift: f64,
    /// Solver.
    #[serde(with = "by_name")]
    pub sampler: SamplerKind,
    /// Whose sigma grid, timestep rounding and text cleaning to follow.
    #[serde(with = "by_name")]
    pub preset: Preset,
    /// Threshold of [`super::StepCache`]: the relative change of the output that may go uncomputed. `None` computes all
    /// steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_cache: Option<f64>,
    /// Arithmetic of the scores of self-attention.
    #[serde(with = "by_name", default, skip_serializing_if = "is_default")]
    pub attention: Scores,
    /// Seed of the noise.
    pub seed: u64,
}

impl Settings {
    /// The model's defaults for a prompt.
    pub fn new(model: &Model, preset: Preset, prompt: &str, seed: u64) -> Self {
        let defaults = model.defaults(preset);
        Self {
            prompt: prompt.to_owned(),
            negative_prompt: defaults.negative_prompt,
            width: defaults.width,
            height: defaults.height,
            frames: defaults.frames,
            fps: defaults.fps,
            steps: defaults.steps,
            guidance: defaults.guidance,
            shift: defaults.shift,
            sampler: SamplerKind::default(),
            preset,
            step_cache: None,
            attention: Scores::default(),
            seed,
        }
    }

    /// Frames, height and width of the latent.
    pub fn latent(&self, model: &Model) -> [usize; 3] {
        let factor = model.vae_config.spatial_factor();
        [
            model.vae_config.latent_frames(self.frames),
            self.height / factor,
            self.width / factor,
        ]
    }

    /// The solver over this run's schedule.
    pub fn sampler(&self) -> Result<Box<dyn Sampler>> {
        Ok(sampler::build(self.sampler, self.preset, self.steps, self.shift)?)
    }

    /// Whether a model can make this, with the nearest settings that it can where it cannot.
    pub fn check(&self, model: &Model) -> Result<()> {
        let multiple = model.size_multiple();
        for (setting, size) in [("--width", self.width), ("--height", self.height)] {
            if size == 0 || size % multiple != 0 {
                let below = (size / multiple * multiple).max(multiple);
                let why = format!(
                    "{size} is not a multiple of {multiple}; try {below} or {}",
                    below + multiple
                );
                return Err(Error::Setting { setting, why });
            }
            if size > 16_384 {
                return Err(Error::Setting {
                    setting,
                    why: format!("{size} pixels are too many; 16384 at most"),
                });
            }
        }
        let factor = model.vae_config.temporal_factor();
        if self.frames % factor != 1 || self.frames > 100_000 {
            let below = self.frames.saturating_sub(1).min(99_990) / factor * factor + 1;
            let why = format!(
                "{} is not {factor}n + 1; try {below} or {}",
                self.frames,
                below + factor
            );
            return Err(Error::Setting {
                setting: "--frames",
                why,
            });
        }
        let latent = self.latent(model);
        if latent
            .iter()
            .zip(model.high.config.patch_size)
            .any(|(n, p)| n / p > ROPE_POSITIONS)
        {
            let why = format!("a latent of {latent:?} is larger than the model's {ROPE_POSITIONS} positions per axis");
            return Err(Error::Setting {
                setting: "--frames",
                why,
            });
        }
        if !self.fps.is_finite() || self.fps <= 0.0 || self.fps > 1000.0 {
            return Err(Error::Setting {
                setting: "--fps",
                why: format!("{} is not between 0 and 1000", self.fps),
            });
        }
        if self.guidance.iter().any(|g| !g.is_finite()) {
            return Err(Error::Setting {
                setting: "--guidance",
                why: "it must be a finite number".into(),
            });
        }
        if self
            .step_cache
            .is_some_and(|threshold| !(0.0..=1.0).contains(&threshold))
        {
            return Err(Error::Setting {
                setting: "--step-cache",
                why: "the threshold lies between 0 and 1; 0.05 is usual, more skips more".into(),
            });
        }
        self.sampler().map(drop)
    }
}

/// Length of the rotary tables (`rope_max_seq_len`).
const ROPE_POSITIONS: usize = 1024;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Serialises what has a name as its name.
mod by_name {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
