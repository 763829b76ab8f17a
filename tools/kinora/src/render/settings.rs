//! From the options, a clip to be like, and the model's defaults to settings.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;

use anyhow::Context;
use kinora_models::pipeline::Settings;
use kinora_models::sampler::SamplerKind;
use kinora_models::wan::Model;
use serde::{Deserialize, Serialize};

use super::args::{ClipArgs, ModelArgs};
use crate::cli::Misuse;

/// Metadata key under which a clip carries [`About`].
const KEY: &str = "kinora";

/// What a clip says of how it was made.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct About {
    /// Version of Kinora.
    pub version: String,
    /// Settings.
    pub settings: Settings,
    /// The model's files as they were named.
    pub model: ModelArgs,
    /// The model in words.
    pub model_name: String,
    /// Identity of the model's files.
    pub fingerprints: Vec<String>,
}

impl About {
    /// Metadata of a clip.
    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        let json = serde_json::to_string(self).expect("plain data");
        let comment = format!(
            "Kinora {}, {}, seed {}",
            self.version, self.model_name, self.settings.seed
        );
        // A container's texts cannot hold control characters.
        let prompt = self.settings.prompt.replace(char::is_control, " ");
        BTreeMap::from([
            (KEY.into(), json),
            ("prompt".into(), prompt),
            ("comment".into(), comment),
        ])
    }

    /// Reads it from a clip.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let metadata = kinora_media::read_metadata(path)?;
        let json = metadata.get(KEY).with_context(|| {
            format!(
                "{}: it does not say how it was made; only clips of Kinora do",
                path.display()
            )
        })?;
        serde_json::from_str(json).with_context(|| format!("{}: its settings cannot be read", path.display()))
    }
}

/// Settings of a new render; `notes` gets what the user should know of them.
pub(super) fn resolve(
    prompt: Option<&str>,
    files: &ModelArgs,
    clip: &ClipArgs,
    model: &Model,
    like: Option<Settings>,
    notes: &mut Vec<String>,
) -> anyhow::Result<Settings> {
    let mut settings = match like {
        Some(mut like) => {
            if let Some(prompt) = prompt {
                like.prompt = prompt.to_owned();
            }
            if let Some(preset) = clip.preset {
                like.preset = preset;
            }
            like.seed = clip.seed.unwrap_or(like.seed);
            like
        }
        None => {
            let preset = clip.preset.unwrap_or_else(|| model.default_preset());
            let mut settings = Settings::new(
                model,
                preset,
                prompt.unwrap_or_default(),
                clip.seed.unwrap_or_else(random_seed),
            );
            notes.extend(for_few_steps(files, &mut settings));
            settings
        }
    };
    apply(clip, &mut settings)?;
    settings.check(model)?;
    Ok(settings)
}

/// Defaults of a model with a LoRA that was distilled for few steps, as those who made such LoRAs recommend, and a
/// sentence that says so.
fn for_few_steps(model: &ModelArgs, settings: &mut Settings) -> Option<String> {
    let (lora, steps) = model
        .lora
        .iter()
        .find_map(|lora| Some((lora, lora.distilled_steps()?)))?;
    settings.steps = steps;
    settings.guidance = [1.0; 2];
    settings.sampler = SamplerKind::Euler;
    settings.shift = 5.0;
    Some(format!(
        "{} is made for few steps: where the options say nothing else, {steps} steps, guidance 1, sampler euler, shift 5",
        lora.path.display()
    ))
}

fn apply(clip: &ClipArgs, settings: &mut Settings) -> Result<(), Misuse> {
    if let Some(negative) = &clip.negative {
        settings.negative_prompt.clone_from(negative);
    }
    if let Some((width, height)) = clip.size {
        (settings.width, settings.height) = (width, height);
    }
    settings.frames = clip.frames.unwrap_or(settings.frames);
    settings.fps = clip.fps.unwrap_or(settings.fps);
    settings.steps = clip.steps.unwrap_or(settings.steps);
    settings.shift = clip.shift.unwrap_or(settings.shift);
    settings.sampler = clip.sampler.unwrap_or(settings.sampler);
    settings.step_cache = clip.step_cache.or(settings.step_cache);
    settings.attention = clip.attention.unwrap_or(settings.attention);
    settings.guidance = match clip.guidance.as_slice() {
        [] => settings.guidance,
        [both] => [*both; 2],
        [high, low] => [*high, *low],
        more => {
            return Err(Misuse(format!(
                "--guidance: {} numbers; give one, or one for each expert",
                more.len()
            )));
        }
    };
    Ok(())
}

/// 32 random bits: PyTorch's generator ignores the others. Hash keys are the standard library's source of them.
fn random_seed() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish() & 0xFFFF_FFFF
}
