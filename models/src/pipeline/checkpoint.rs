//! A sampling run on disk: everything that is needed to go on with the same bits.

use std::collections::BTreeMap;
use std::path::Path;

use kinora_quant::{Tensor, Weights, file};
use serde::{Deserialize, Serialize};

use super::{Condition, Embedding, Progress, Settings, StepCache};
use crate::noise::{Generator, GeneratorState};
use crate::sampler::SamplerState;
use crate::wan::Model;
use crate::{Error, Result};

/// Metadata key of the header.
const KEY: &str = "kinora.checkpoint";

/// Version of the layout.
const VERSION: u32 = 1;

/// A run between two steps, or a finished latent.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The run's settings.
    pub settings: Settings,
    /// The model's files as the user named them, to find them again (JSON of the caller).
    pub model: serde_json::Value,
    /// Identity of the model's files, so that a run is not continued with others.
    pub fingerprints: Vec<String>,
    /// Latent and solver history.
    pub progress: Progress,
    /// Embeddings of the prompt and of the negative prompt.
    pub text: Vec<Embedding>,
    /// The encoded picture.
    pub condition: Condition,
}

/// What is not a tensor.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    settings: Settings,
    model: serde_json::Value,
    fingerprints: Vec<String>,
    /// Frames, height, width of the latent.
    latent: [usize; 3],
    sampler: SamplerState,
    history: usize,
    #[serde(default)]
    step_cache: Option<StepCache>,
    tokens: Vec<usize>,
    /// Noise generator after the initial noise was drawn.
    generator: GeneratorState,
}

impl Checkpoint {
    /// Writes it under a temporary name, then renames.
    pub fn save(&self, path: &Path, model: &Model) -> Result<()> {
        let mut tensors: BTreeMap<String, Tensor<'_>> = BTreeMap::new();
        let mut put = |name: &str, values: &[f32]| {
            tensors.insert(name.to_owned(), Tensor::from_f32(&[values.len()], values));
        };
        put("latent", &self.progress.latent);
        let mut sampler = self.progress.sampler.clone();
        let history = std::mem::take(&mut sampler.history);
        for (index, values) in history.iter().enumerate() {
            put(&format!("history.{index}"), values);
        }
        if let Some(sample) = sampler.last_sample.take() {
            put("last_sample", &sample);
        }
        let mut step_cache = self.progress.step_cache.clone();
        for (name, values) in step_cache.iter_mut().flat_map(StepCache::tensors) {
            // There are none before the first step.
            if !values.is_empty() {
                put(name, values);
            }
        }
        for (index, embedding) in self.text.iter().enumerate() {
            put(&format!("text.{index}"), &embedding.rows);
        }
        match &self.condition {
            Condition::None => {}
            Condition::Channels(values) => put("condition.channels", values),
            Condition::FirstFrame(values) => put("condition.first_frame", values),
        }
        let mut generator = Generator::new(self.settings.seed);
        generator.randn(self.progress.latent.len());
        let header = Header {
            version: VERSION,
            settings: self.settings.clone(),
            model: self.model.clone(),
            fingerprints: self.fingerprints.clone(),
            latent: self.settings.latent(model),
            sampler,
            history: history.len(),
            step_cache: self.progress.step_cache.clone(),
            tokens: self.text.iter().map(|t| t.tokens).collect(),
            generator: generator.state(),
        };
        let json = serde_json::to_string(&header).expect("plain data");
        file::save(path, &tensors, &BTreeMap::from([(KEY.to_owned(), json)]))?;
        Ok(())
    }

    /// Reads one back. Sizes are checked against the model by [`Self::check`].
    pub fn load(path: &Path) -> Result<Self> {
        let wrong = |why: String| Error::Config {
            origin: path.display().to_string(),
            why,
        };
        let weights = file::open(path)?;
        let metadata = weights.metadata();
        let json = metadata.get(KEY).ok_or_else(|| {
            wrong("this is no checkpoint of a render; --resume takes the file that a stopped render names".into())
        })?;
        let header: Header = serde_json::from_str(json).map_err(|e| wrong(format!("damaged checkpoint: {e}")))?;
        if header.version != VERSION {
            return Err(wrong(format!(
                "checkpoint of layout {}, this version reads {VERSION}",
                header.version
            )));
        }
        let get = |name: &str| -> Result<Vec<f32>> { Ok(weights.tensor(name)?.to_f32()?) };
        let optional = |name: &str| weights.info(name).map(|_| get(name)).transpose();
        let mut sampler = header.sampler;
        sampler.history = (0..header.history)
            .map(|i| get(&format!("history.{i}")))
            .collect::<Result<_>>()?;
        sampler.last_sample = optional("last_sample")?;
        let mut step_cache = header.step_cache;
        for (name, values) in step_cache.iter_mut().flat_map(StepCache::tensors) {
            *values = optional(name)?.unwrap_or_default();
        }
        let text = header
            .tokens
            .iter()
            .enumerate()
            .map(|(i, tokens)| {
                Ok(Embedding {
                    rows: get(&format!("text.{i}"))?,
                    tokens: *tokens,
                })
            })
            .collect::<Result<_>>()?;
        let condition = match (optional("condition.channels")?, optional("condition.first_frame")?) {
            (Some(channels), _) => Condition::Channels(channels),
            (None, Some(frame)) => Condition::FirstFrame(frame),
            (None, None) => Condition::None,
        };
        Ok(Self {
            settings: header.settings,
            model: header.model,
            fingerprints: header.fingerprints,
            progress: Progress {
                latent: get("latent")?,
                sampler,
                step_cache,
            },
            text,
            condition,
        })
    }

    /// Whether it fits the model: every tensor has the size that the settings ask for.
    pub fn check(&self, path: &Path, model: &Model) -> Result<()> {
        self.settings.check(model)?;
        let [f, h, w] = self.settings.latent(model);
        let latent = model.vae_config.z_dim * f * h * w;
        let extra = model.high.config.in_channels - model.high.config.out_channels.min(model.high.config.in_channels);
        let condition = match &self.condition {
            Condition::None => extra == 0,
            Condition::Channels(c) => c.len() == extra * f * h * w,
            Condition::FirstFrame(c) => c.len() == model.vae_config.z_dim * h * w,
        };
        let rows = model.text_rows * model.text_config.d_model;
        let solver = &self.progress.sampler;
        let mut step_cache = self.progress.step_cache.clone();
        let fits_cache = |(_, values): (_, &mut Vec<f32>)| values.len() == latent || values.is_empty();
        let fits = self.progress.latent.len() == latent
            && solver
                .history
                .iter()
                .chain(&solver.last_sample)
                .all(|t| t.len() == latent)
            && step_cache.iter_mut().flat_map(StepCache::tensors).all(fits_cache)
            && step_cache.is_some() == self.settings.step_cache.is_some()
            && (1..=2).contains(&self.text.len())
            && self.text.iter().all(|t| t.rows.len() == rows)
            && condition;
        if fits {
            return Ok(());
        }
        Err(Error::Config {
            origin: path.display().to_string(),
            why: format!("the checkpoint was not made with this model ({})", model.name()),
        })
    }
}
