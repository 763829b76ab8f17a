//! The official members of the family and their defaults.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::sampler::Preset;
use crate::wan::TransformerConfig;
use crate::{Error, Result};

/// A published model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Variant {
    /// Wan 2.2 text-to-video, two experts of 14B.
    #[serde(rename = "wan2.2-t2v-a14b")]
    Wan22T2vA14b,
    /// Wan 2.2 image-to-video, two experts of 14B.
    #[serde(rename = "wan2.2-i2v-a14b")]
    Wan22I2vA14b,
    /// Wan 2.2 text- and image-to-video, 5B.
    #[serde(rename = "wan2.2-ti2v-5b")]
    Wan22Ti2v5b,
    /// Wan 2.1 text-to-video, 1.3B.
    #[serde(rename = "wan2.1-t2v-1.3b")]
    Wan21T2v1_3b,
    /// Wan 2.1 text-to-video, 14B.
    #[serde(rename = "wan2.1-t2v-14b")]
    Wan21T2v14b,
    /// Wan 2.1 image-to-video, 14B, with CLIP image tokens.
    #[serde(rename = "wan2.1-i2v-14b")]
    Wan21I2v14b,
}

/// How a picture enters the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conditioning {
    /// It does not.
    Text,
    /// As channels beside the noisy latent: a mask of 4 and the encoded clip (image, then grey).
    Channels,
    /// As the first latent frame, whose tokens have timestep 0. Optional.
    FirstFrame,
}

/// Settings of a render that the user did not give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    /// Sampling steps.
    pub steps: usize,
    /// Timestep shift.
    pub shift: f64,
    /// Guidance of the high-noise expert (or the only one) and of the low-noise one.
    pub guidance: [f64; 2],
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Frames.
    pub frames: usize,
    /// Frames per second.
    pub fps: f64,
    /// What to steer away from.
    pub negative_prompt: String,
}

/// The negative prompt of the official repositories (`wan/configs/shared_config.py`).
pub const NEGATIVE_PROMPT: &str = "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走";

impl Variant {
    /// All of them, with the names that the command line uses.
    pub const ALL: [(&str, Self); 6] = [
        ("wan2.2-t2v-a14b", Self::Wan22T2vA14b),
        ("wan2.2-i2v-a14b", Self::Wan22I2vA14b),
        ("wan2.2-ti2v-5b", Self::Wan22Ti2v5b),
        ("wan2.1-t2v-1.3b", Self::Wan21T2v1_3b),
        ("wan2.1-t2v-14b", Self::Wan21T2v14b),
        ("wan2.1-i2v-14b", Self::Wan21I2v14b),
    ];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, v)| *v == self).map_or("", |(name, _)| name)
    }

    /// The variants that a transformer of this shape can be; more than one where the tensors cannot tell.
    pub fn candidates(config: &TransformerConfig) -> Vec<Self> {
        match (config.dim(), config.in_channels, config.image_dim.is_some()) {
            (5120, 16, false) => vec![Self::Wan22T2vA14b, Self::Wan21T2v14b],
            (5120, 36, false) => vec![Self::Wan22I2vA14b],
            (5120, 36, true) => vec![Self::Wan21I2v14b],
            (3072, 48, false) => vec![Self::Wan22Ti2v5b],
            (1536, 16, false) => vec![Self::Wan21T2v1_3b],
            _ => Vec::new(),
        }
    }

    /// Width of the transformer's residual stream.
    pub fn width(self) -> usize {
        match self {
            Self::Wan22Ti2v5b => 3072,
            Self::Wan21T2v1_3b => 1536,
            Self::Wan22T2vA14b | Self::Wan22I2vA14b | Self::Wan21T2v14b | Self::Wan21I2v14b => 5120,
        }
    }

    /// Share of the timesteps from which the high-noise expert works; `None` for a single transformer.
    pub fn boundary(self) -> Option<f64> {
        match self {
            Self::Wan22T2vA14b => Some(0.875),
            Self::Wan22I2vA14b => Some(0.900),
            _ => None,
        }
    }

    /// How a picture enters.
    pub fn conditioning(self) -> Conditioning {
        match self {
            Self::Wan22I2vA14b | Self::Wan21I2v14b => Conditioning::Channels,
            Self::Wan22Ti2v5b => Conditioning::FirstFrame,
            _ => Conditioning::Text,
        }
    }

    /// Defaults of the official repository, of diffusers' pipelines, or of ComfyUI's templates.
    pub fn defaults(self, preset: Preset) -> Defaults {
        let official = match self {
            Self::Wan22T2vA14b => (40, 12.0, [4.0, 3.0], 1280, 720, 81, 16.0),
            Self::Wan22I2vA14b => (40, 5.0, [3.5, 3.5], 1280, 720, 81, 16.0),
            Self::Wan22Ti2v5b => (50, 5.0, [5.0, 5.0], 1280, 704, 121, 24.0),
            Self::Wan21T2v1_3b => (50, 5.0, [5.0, 5.0], 832, 480, 81, 16.0),
            Self::Wan21T2v14b => (50, 5.0, [5.0, 5.0], 1280, 720, 81, 16.0),
            Self::Wan21I2v14b => (40, 5.0, [5.0, 5.0], 1280, 720, 81, 16.0),
        };
        let (mut steps, mut shift, mut guidance, width, height, frames, fps) = official;
        match preset {
            Preset::Official => {}
            Preset::Diffusers => {
                // The conversion script's flow_shift and the pipelines' call defaults.
                shift = if matches!(self, Self::Wan22T2vA14b | Self::Wan22I2vA14b) {
                    3.0
                } else {
                    5.0
                };
                (steps, guidance) = (50, [5.0, 5.0]);
            }
            Preset::Comfy => shift = 8.0,
        }
        Defaults {
            steps,
            shift,
            guidance,
            width,
            height,
            frames,
            fps,
            negative_prompt: NEGATIVE_PROMPT.into(),
        }
    }
}

impl FromStr for Variant {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, v)| *v)
            .ok_or_else(|| {
                let known: Vec<&str> = Self::ALL.iter().map(|(known, _)| *known).collect();
                Error::Setting {
                    setting: "--variant",
                    why: format!("`{name}` is not known; there are {}", known.join(", ")),
                }
            })
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
