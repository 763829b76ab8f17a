//! The render itself: stages in order, the run's state kept on disk.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use kinora_graph::{Executor, Precision};
use kinora_media::{Frame, Sink};
use kinora_models::lora;
use kinora_models::pipeline::{
    Checkpoint, Condition, Denoiser, Event, Listener, Plan, Progress, Settings, Stage, decode, encode_condition,
    initial_noise, tune,
};
use kinora_models::wan::{Conditioning, Model};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::args::{FileArgs, ModelArgs, RenderArgs};
use super::progress::Reporter;
use super::settings::{About, resolve};
use super::text_cache::TextCache;
use super::{model, outlook, output};
use crate::cli::{Global, Misuse};
use crate::{cache, executor, interrupt, units};

/// What a checkpoint needs beside the model's own data to go on by itself.
#[derive(Serialize, Deserialize)]
struct Request {
    model: ModelArgs,
    file: FileArgs,
    output: PathBuf,
    precision: String,
}

/// A render with everything decided.
struct Render<'a> {
    args: &'a RenderArgs,
    request: Request,
    model: Model,
    settings: Settings,
    fingerprints: Vec<String>,
    checkpoint: PathBuf,
    reporter: Reporter,
}

pub(crate) fn run(global: &Global, args: &RenderArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let stored = match args.resume.as_ref().or(args.from_latents.as_ref()) {
        Some(path) => Some((path.clone(), Checkpoint::load(path)?)),
        None => None,
    };
    let mut render = Render::new(global, args, stored.as_ref())?;
    let about = render.about();
    let mut sink = Some(output::create(
        &render.request.output,
        &about,
        &render.request.file,
        args.force,
    )?);
    let mut executor = executor::of(global)?;
    executor.set_profiling(args.profile);
    let plan = render.announce(global, &mut *executor)?;
    tune(&mut *executor, &mut render.reporter)?;

    let latent = match stored {
        Some((_, checkpoint)) if args.from_latents.is_some() => checkpoint.progress.latent,
        Some((_, checkpoint)) => render.sample(&mut *executor, &plan, Some(checkpoint))?,
        None => render.sample(&mut *executor, &plan, None)?,
    };
    render.write(&mut *executor, &plan, &latent, &mut sink)?;
    let written = sink.take().expect("the sink is finished once").finish()?;
    if args.from_latents.is_none() {
        // The clip is whole: the state of the run has done its duty.
        let _ = std::fs::remove_file(&render.checkpoint);
    }
    if args.profile {
        crate::profile::print(&executor.take_profile(), executor.take_host_time());
    }
    let seconds = started.elapsed().as_secs_f64();
    let event = json!({
        "event": "written", "path": written.path, "bytes": written.bytes, "frames": written.frames,
        "seed": render.settings.seed, "seconds": seconds,
        "device_peak_bytes": executor.device_peak(), "planned_device_bytes": plan.device(),
    });
    let text = format!(
        "{}: {} frames of {}x{}, seed {}, {:.1} s on {}{}",
        written.path.display(),
        written.frames,
        render.settings.width,
        render.settings.height,
        render.settings.seed,
        seconds,
        executor.describe(),
        match executor.device_peak() {
            0 => String::new(),
            peak => format!(
                ", at most {} of its memory ({} planned)",
                units::memory(peak),
                units::memory(plan.device())
            ),
        }
    );
    render.reporter.tell(&event, &text);
    Ok(ExitCode::SUCCESS)
}

impl<'a> Render<'a> {
    fn new(global: &'a Global, args: &'a RenderArgs, stored: Option<&(PathBuf, Checkpoint)>) -> anyhow::Result<Self> {
        let like = args.like.as_deref().map(About::read).transpose()?;
        let precision = format!("{:?}", Precision::from(global.precision));
        let mut reporter = Reporter::new(global.json());
        let named = !args.model.model.is_empty() || args.model.high.is_some();
        let request = match (stored, &like) {
            (Some((path, checkpoint)), _) => {
                let mut request: Request = serde_json::from_value(checkpoint.model.clone())
                    .with_context(|| format!("{}: damaged checkpoint", path.display()))?;
                request.model = match named {
                    true => args.model.clone(),
                    false => args.model.loras_over(&request.model),
                };
                if args.from_latents.is_some() {
                    request.file = args.file.clone();
                }
                if args.resume.is_some() && request.precision != precision {
                    reporter.say(&format!(
                        "warning: the run began with --precision {}; with {precision} it will not give the same bits",
                        request.precision.to_lowercase()
                    ));
                }
                if let Some(output) = &args.output {
                    request.output.clone_from(output);
                }
                request
            }
            (None, like) => Request {
                model: match like {
                    Some(like) if !named => args.model.loras_over(&like.model),
                    _ => args.model.clone(),
                },
                file: args.file.clone(),
                output: args.output.clone().expect("clap requires it"),
                precision,
            },
        };
        let mut model = model::open(&request.model)?;
        let mut notes = lora::apply(&mut model, &request.model.lora)?;
        let settings = match stored {
            Some((path, checkpoint)) => {
                checkpoint.check(path, &model)?;
                checkpoint.settings.clone()
            }
            None => resolve(
                args.prompt.as_deref(),
                &request.model,
                &args.clip,
                &model,
                like.map(|l| l.settings),
                &mut notes,
            )?,
        };
        for note in notes {
            reporter.event(&Event::Warning(note));
        }
        let fingerprints = model::fingerprints(&model, &request.model.lora)?;
        if let Some((path, checkpoint)) = stored
            && checkpoint.fingerprints != fingerprints
        {
            bail!(
                "{}: the run was made with other model files than those found now; name the right ones with --model and --lora",
                path.display()
            );
        }
        let checkpoint = args
            .checkpoint
            .clone()
            .or_else(|| args.resume.clone())
            .unwrap_or_else(|| with_suffix(&request.output, ".checkpoint.safetensors"));
        Ok(Self {
            args,
            request,
            model,
            settings,
            fingerprints,
            checkpoint,
            reporter,
        })
    }

    fn about(&self) -> About {
        About {
            version: env!("CARGO_PKG_VERSION").into(),
            settings: self.settings.clone(),
            model: self.request.model.clone(),
            model_name: self.model.name(),
            fingerprints: self.fingerprints.clone(),
        }
    }

    /// Says what will be done and what it takes; refuses what does not fit.
    fn announce(&mut self, global: &Global, executor: &mut dyn Executor) -> anyhow::Result<Plan> {
        executor.measure()?;
        let plan = Plan::new(
            &self.model,
            &self.settings,
            self.args.clip.image.is_some(),
            executor,
            global.memory.ram(),
        )?;
        let mut event = outlook::event(&plan, &self.model, &self.settings, executor);
        event["event"] = "render".into();
        event["output"] = serde_json::to_value(&self.request.output)?;
        let heading = outlook::heading(&self.model, &self.settings);
        self.reporter
            .tell(&event, &format!("{heading}\n{}", outlook::text(&plan, executor)));
        Ok(plan)
    }

    /// Text, picture, sampling: the finished latent.
    fn sample(
        &mut self,
        executor: &mut dyn Executor,
        plan: &Plan,
        stored: Option<Checkpoint>,
    ) -> anyhow::Result<Vec<f32>> {
        let (text, condition, progress) = match stored {
            Some(c) => (c.text, c.condition, Some(c.progress)),
            None => {
                let settings = &self.settings;
                let guided = settings.guidance.iter().any(|g| *g > 1.0);
                let prompts: &[&str] = if guided {
                    &[&settings.prompt, &settings.negative_prompt]
                } else {
                    &[&settings.prompt]
                };
                let folder = cache::folder().join("text");
                let files = &self.fingerprints[..self.model.files.len()];
                let cache = TextCache::new(folder, executor, files);
                let (text, kept) = cache.encode(&self.model, executor, settings, prompts, &mut self.reporter)?;
                if kept {
                    let event = json!({ "event": "text_kept" });
                    self.reporter.tell(&event, "text: encoded before, read from the cache");
                }
                (text, self.condition(executor)?, None)
            }
        };
        let (model, settings) = (&self.model, &self.settings);
        let noise = initial_noise(model, settings);
        let mut denoiser = Denoiser::new(model, settings, &condition, &text, noise)?.with_text_keys(plan.text_keys);
        if let Some(progress) = progress {
            denoiser.restore(progress)?;
        }
        self.reporter.event(&Event::Started {
            stage: Stage::Sampling,
            count: settings.steps,
        });
        let state = |progress: Progress| -> anyhow::Result<Checkpoint> {
            Ok(Checkpoint {
                settings: settings.clone(),
                model: serde_json::to_value(&self.request)?,
                fingerprints: self.fingerprints.clone(),
                progress,
                text: text.clone(),
                condition: condition.clone(),
            })
        };
        loop {
            match denoiser.step(executor, &mut self.reporter) {
                Ok(true) => {}
                Ok(false) => break,
                Err(kinora_models::Error::Graph(kinora_graph::Error::Cancelled)) => {
                    return Err(stop(
                        &state(denoiser.progress())?,
                        &self.checkpoint,
                        model,
                        denoiser.steps_done(),
                    ));
                }
                Err(error) => {
                    // Whatever failed (a lost device, say), the steps done are not lost.
                    if denoiser.steps_done() > 0 && state(denoiser.progress())?.save(&self.checkpoint, model).is_ok() {
                        let hint = format!(
                            "the steps done are kept: kinora render --resume {}",
                            self.checkpoint.display()
                        );
                        return Err(anyhow::Error::from(error).context(hint));
                    }
                    return Err(error.into());
                }
            }
            let (done, every) = (denoiser.steps_done(), self.args.checkpoint_every);
            if interrupt::requested() && done < settings.steps {
                return Err(stop(&state(denoiser.progress())?, &self.checkpoint, model, done));
            }
            if every > 0
                && (done % every == 0 || done == settings.steps)
                && let Err(error) = state(denoiser.progress())?.save(&self.checkpoint, model)
            {
                self.reporter
                    .event(&Event::Warning(format!("the run's state cannot be kept: {error}")));
            }
        }
        denoiser.release(executor);
        self.reporter.event(&Event::Finished { stage: Stage::Sampling });
        if settings.step_cache.is_some() {
            let (all, skipped) = (denoiser.steps_done(), denoiser.steps_skipped());
            let event = json!({ "event": "step_cache", "steps": all, "skipped": skipped });
            let times = all as f64 / (all - skipped).max(1) as f64;
            let text = format!("step cache: {skipped} of {all} steps skipped, sampling about {times:.2} times as fast");
            self.reporter.tell(&event, &text);
        }
        if let Some(path) = &self.args.save_latents {
            state(denoiser.progress())?.save(path, model)?;
        }
        Ok(denoiser.latent().to_vec())
    }

    fn condition(&mut self, executor: &mut dyn Executor) -> anyhow::Result<Condition> {
        let settings = &self.settings;
        match (&self.args.clip.image, self.model.conditioning) {
            (Some(path), Conditioning::Text) => Err(Misuse(format!(
                "--image {}: {} is a text-to-video model; use an I2V or TI2V model",
                path.display(),
                self.model.name()
            ))
            .into()),
            (None, Conditioning::Channels) => Err(Misuse(format!(
                "{} is an image-to-video model; give it a picture with --image",
                self.model.name()
            ))
            .into()),
            (None, _) => Ok(Condition::None),
            (Some(path), _) => {
                let picture = output::picture(path, settings, &self.model)?;
                let size = [settings.height, settings.width];
                Ok(encode_condition(
                    &self.model,
                    executor,
                    &picture,
                    size,
                    settings.frames,
                    &mut self.reporter,
                )?)
            }
        }
    }

    /// Decodes frame by frame into the file.
    fn write(
        &mut self,
        executor: &mut dyn Executor,
        plan: &Plan,
        latent: &[f32],
        sink: &mut Option<Box<dyn Sink>>,
    ) -> anyhow::Result<()> {
        let (width, height) = (self.settings.width, self.settings.height);
        let mut sink_frame = |rgb: &[f32]| -> kinora_models::Result<()> {
            let sink = sink.as_mut().expect("the sink is finished later");
            sink.write(&Frame { width, height, rgb })
                .map_err(|e| kinora_models::Error::Output(Box::new(e)))
        };
        let shape = self.settings.latent(&self.model);
        let result = decode(
            &self.model,
            executor,
            latent,
            shape,
            plan.tiling,
            &mut self.reporter,
            &mut sink_frame,
        );
        match result {
            Err(error) if self.args.from_latents.is_none() && self.checkpoint.is_file() => {
                let hint = format!(
                    "the sampled latents are kept: kinora render --resume {}",
                    self.checkpoint.display()
                );
                Err(anyhow::Error::from(error).context(hint))
            }
            result => Ok(result?),
        }
    }
}

/// Writes the state at Ctrl-C and says how to go on.
fn stop(state: &Checkpoint, path: &Path, model: &Model, done: usize) -> anyhow::Error {
    match state.save(path, model) {
        Ok(()) => anyhow::Error::from(kinora_graph::Error::Cancelled).context(format!(
            "stopped after step {done}; go on with: kinora render --resume {}",
            path.display()
        )),
        Err(error) => {
            anyhow::Error::from(error).context(format!("stopped after step {done}, and the state cannot be kept"))
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    // `clip/` and `clip` are the same place.
    let mut name = path.components().collect::<PathBuf>().into_os_string();
    name.push(suffix);
    name.into()
}
