//! Noise to latents: the sampling loop over one or two experts.

use kinora_graph::{Executor, HostTensor, ProgramId};

use super::plan::step_shape;
use super::step_cache::FIRST_STEPS;
use super::{Condition, Embedding, Event, Listener, Settings, Stage, StageControl, StepCache};
use crate::noise;
use crate::sampler::{Preset, Sampler, SamplerState};
use crate::wan::Model;
use crate::wan::rope::timestep_embedding;
use crate::wan::transformer::{TextKeys, step_graph, text_graph};
use crate::{Error, Result};

/// Where a run stands between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// `[z_dim, F, h, w]`
    pub latent: Vec<f32>,
    /// History of the solver; its `next_step` counts the steps done.
    pub sampler: SamplerState,
    /// What is known of computed steps, where steps may be skipped.
    pub step_cache: Option<StepCache>,
}

/// The noise that a run with these settings starts from, `[z_dim, F, h, w]`: torch's CPU generator.
pub fn initial_noise(model: &Model, settings: &Settings) -> Vec<f32> {
    let elements = model.vae_config.z_dim * settings.latent(model).iter().product::<usize>();
    noise::randn(settings.seed, elements)
}

/// A sampling run.
pub struct Denoiser<'a> {
    model: &'a Model,
    settings: &'a Settings,
    condition: &'a Condition,
    /// The prompt and, unless guidance is off, the negative prompt.
    text: &'a [Embedding],
    sampler: Box<dyn Sampler>,
    latent: Vec<f32>,
    step_cache: Option<StepCache>,
    done: usize,
    text_keys: TextKeys,
    /// The expert whose programs are on the device.
    loaded: Option<Loaded>,
}

struct Loaded {
    low: bool,
    guided: bool,
    step: ProgramId,
    /// The text as inputs of each step, where its keys and values are not kept.
    text: Vec<(String, HostTensor)>,
}

impl<'a> Denoiser<'a> {
    /// A run from `latent` at step 0. `text` holds the embeddings of the prompt and of the negative prompt.
    pub fn new(
        model: &'a Model,
        settings: &'a Settings,
        condition: &'a Condition,
        text: &'a [Embedding],
        latent: Vec<f32>,
    ) -> Result<Self> {
        let sampler = settings.sampler()?;
        Ok(Self {
            model,
            settings,
            condition,
            text,
            sampler,
            latent,
            step_cache: settings.step_cache.map(|_| StepCache::default()),
            done: 0,
            text_keys: TextKeys::default(),
            loaded: None,
        })
    }

    /// Keeps keys and values of the text on the device, or computes them in each step: the same bits, less memory.
    pub fn with_text_keys(mut self, text_keys: TextKeys) -> Self {
        self.text_keys = text_keys;
        self
    }

    /// Goes on from where another run stood.
    pub fn restore(&mut self, progress: Progress) -> Result<()> {
        self.done = progress.sampler.next_step;
        self.sampler.restore(progress.sampler)?;
        self.latent = progress.latent;
        self.step_cache = progress.step_cache;
        Ok(())
    }

    /// Where the run stands.
    pub fn progress(&self) -> Progress {
        Progress {
            latent: self.latent.clone(),
            sampler: self.sampler.state(),
            step_cache: self.step_cache.clone(),
        }
    }

    /// Steps done.
    pub fn steps_done(&self) -> usize {
        self.done
    }

    /// Those of them that were not computed.
    pub fn steps_skipped(&self) -> usize {
        self.step_cache.as_ref().map_or(0, StepCache::skipped)
    }

    /// The latent after the steps done.
    pub fn latent(&self) -> &[f32] {
        &self.latent
    }

    /// Runs the next step. `false` where there was none left: the latent is final then, and not before.
    pub fn step(&mut self, executor: &mut dyn Executor, listener: &mut dyn Listener) -> Result<bool> {
        let count = self.sampler.schedule().steps();
        if self.done >= count {
            self.overlay_first_frame();
            return Ok(false);
        }
        let timesteps = &self.sampler.schedule().timesteps;
        let timestep = timesteps[self.done];
        let low = self.model.is_low(timestep);
        let switched = self.done > 0 && self.model.is_low(timesteps[self.done - 1]) != low;
        let visible = self.visible_latent();
        let reused = match (&mut self.step_cache, self.settings.step_cache) {
            (Some(cache), Some(threshold)) => {
                let may_skip = self.done >= FIRST_STEPS && self.done + 1 < count && !switched;
                cache.reuse(&visible, threshold, may_skip)
            }
            _ => None,
        };
        let skipped = reused.is_some();
        let velocity = match reused {
            Some(velocity) => velocity,
            None => {
                let guidance = self.settings.guidance[usize::from(low)];
                let guided = guidance > 1.0 && self.text.len() > 1;
                self.load(executor, listener, low, guided)?;
                let mut control = StageControl {
                    listener,
                    stage: Stage::Sampling,
                    index: self.done,
                    count,
                };
                let [velocity, prompted] = self.velocity(executor, &mut control, &visible, timestep, guidance)?;
                let velocity = velocity.expect("the graph has this output");
                if let Some(cache) = &mut self.step_cache {
                    cache.keep(&visible, prompted.unwrap_or_else(|| velocity.clone()), &velocity);
                }
                velocity
            }
        };
        check_usable("sampling", &velocity)?;
        self.sampler.step(self.done, &velocity, &mut self.latent);
        self.done += 1;
        // The official code puts the picture back after every step, diffusers once after the last; what the
        // transformer sees is the same, since the input is overlaid as well.
        if self.settings.preset == Preset::Official {
            self.overlay_first_frame();
        }
        listener.event(&Event::Step {
            done: self.done,
            count,
            skipped,
        });
        Ok(true)
    }

    /// Frees the device.
    pub fn release(&mut self, executor: &mut dyn Executor) {
        if let Some(loaded) = self.loaded.take() {
            executor.release(loaded.step);
        }
        executor.clear_states();
    }

    /// The latent as the transformer sees it, `[z_dim, F, h, w]`.
    fn visible_latent(&self) -> Vec<f32> {
        let mut latent = self.latent.clone();
        if let Condition::FirstFrame(frame) = self.condition {
            let [f, h, w] = self.settings.latent(self.model);
            overlay(&mut latent, frame, f, h * w);
        }
        latent
    }

    /// The velocity `[z_dim, F, h, w]` at a latent, guided, and the one with the prompt alone where the graph says it.
    fn velocity(
        &mut self,
        executor: &mut dyn Executor,
        control: &mut StageControl<'_>,
        visible: &[f32],
        timestep: f32,
        guidance: f64,
    ) -> Result<[Option<Vec<f32>>; 2]> {
        let config = &self.model.high.config;
        let latent_shape = self.settings.latent(self.model);
        let [f, h, w] = latent_shape;
        let mut input = visible.to_vec();
        if let Condition::Channels(channels) = self.condition {
            input.extend_from_slice(channels);
        }
        let latent = HostTensor::f32(&[config.in_channels, f, h, w], input);
        let times = if matches!(self.condition, Condition::FirstFrame(_)) {
            vec![0.0, timestep]
        } else {
            vec![timestep]
        };
        let time = HostTensor::f32(
            &[times.len(), config.freq_dim],
            timestep_embedding(&times, config.freq_dim),
        );
        let tokens = config.tokens(latent_shape);
        let first = config.tokens([config.patch_size[0], h, w]);
        let rows = HostTensor::u32(&[tokens], (0..tokens).map(|token| u32::from(token >= first)).collect());
        // v = v_neg + g (v_pos - v_neg)
        let factors = HostTensor::f32(&[2], vec![guidance as f32, (1.0 - guidance) as f32]);
        let loaded = self.loaded.as_ref().expect("step loads the expert first");
        let mut inputs = vec![("latent", &latent), ("time", &time)];
        if times.len() > 1 {
            inputs.push(("rows", &rows));
        }
        if loaded.guided {
            inputs.push(("guidance", &factors));
        }
        inputs.extend(loaded.text.iter().map(|(name, text)| (name.as_str(), text)));
        let mut outputs = executor.run(loaded.step, &inputs, control)?;
        let mut take = |name: &str| outputs.remove(name).map(HostTensor::into_f32).transpose();
        Ok([take("velocity")?, take("prompted")?])
    }

    /// Puts an expert's programs on the device in place of the other's, and makes its keys and values of the text.
    fn load(
        &mut self,
        executor: &mut dyn Executor,
        listener: &mut dyn Listener,
        low: bool,
        guided: bool,
    ) -> Result<()> {
        if self.loaded.as_ref().is_some_and(|l| l.low == low && l.guided == guided) {
            return Ok(());
        }
        self.release(executor);
        let expert = self.model.expert(low);
        let first_frame = matches!(self.condition, Condition::FirstFrame(_));
        let shape = step_shape(self.model, self.settings, first_frame, low, guided, self.text_keys);
        let mut inline = Vec::new();
        for (branch, embedding) in shape.branches.iter().zip(self.text) {
            let text = HostTensor::f32(&[self.model.text_rows, expert.config.text_dim], embedding.rows.clone());
            if self.text_keys == TextKeys::Inline {
                inline.push((format!("text.{branch}"), text));
                continue;
            }
            let graph = text_graph(&expert.config, &*expert.weights, &shape, branch)?;
            let program = executor.compile(graph, &expert.weights)?;
            let result = executor.run(program, &[("text", &text)], &mut kinora_graph::NoControl);
            executor.release(program);
            result?;
        }
        let graph = step_graph(&expert.config, &*expert.weights, &shape)?;
        let step = executor.compile(graph, &expert.weights)?;
        listener.event(&Event::Planned {
            stage: Stage::Sampling,
            needs: executor.requirements(step),
        });
        self.loaded = Some(Loaded {
            low,
            guided,
            step,
            text: inline,
        });
        Ok(())
    }

    fn overlay_first_frame(&mut self) {
        if let Condition::FirstFrame(frame) = self.condition {
            let [f, h, w] = self.settings.latent(self.model);
            overlay(&mut self.latent, frame, f, h * w);
        }
    }
}

/// Replaces frame 0 of a latent `[C, frames, plane]` by `frame` `[C, plane]`.
fn overlay(latent: &mut [f32], frame: &[f32], frames: usize, plane: usize) {
    for (channel, values) in latent.chunks_exact_mut(frames * plane).zip(frame.chunks_exact(plane)) {
        channel[..plane].copy_from_slice(values);
    }
}

/// An error where a stage's output is not finite or is the same everywhere: better than a grey clip.
pub(super) fn check_usable(stage: &'static str, values: &[f32]) -> Result<()> {
    let why = if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
        format!("holds {bad}")
    } else if values.len() > 1 && values.iter().all(|v| v.to_bits() == values[0].to_bits()) {
        format!("is {} everywhere", values[0])
    } else {
        return Ok(());
    };
    let remedy = "the weights may be damaged, or the device computes wrongly: try `--precision f32`, `--device cpu`, and `kinora verify`";
    Err(Error::Unusable {
        stage,
        why,
        remedy: remedy.into(),
    })
}
