//! Whole pipelines, from the prompt to frames, with the stages that a render runs.

use kinora_graph::{Control, HostTensor};
use kinora_models::pipeline::{
    Condition, Denoiser, Embedding, Event, Listener, Settings, decode, encode_condition, encode_text,
};
use kinora_models::sampler::{Preset, SamplerKind};
use kinora_models::wan::Model;
use kinora_models::wan::open::Source;
use serde_json::Value;

use super::{Case, Result, case::Tensors, session::Session};

/// Rows of text of the official models, and the most that any has.
const MAX_TEXT_ROWS: usize = 512;

pub(crate) fn compute(case: &Case, session: &mut Session<'_>) -> Result<Tensors> {
    let mut model = Model::open(&Source {
        paths: vec![case.weights_path()?],
        ..Source::default()
    })?;
    model.text_rows = args(case, "max_sequence_length")?;
    if !(1..=MAX_TEXT_ROWS).contains(&model.text_rows) {
        return Err(case.malformed(
            "case.json",
            format!(
                "`max_sequence_length` is {}; it must be 1 to {MAX_TEXT_ROWS}",
                model.text_rows
            ),
        ));
    }
    let settings = settings(case, &model)?;
    settings.check(&model)?;
    let (executor, control) = session.parts();
    let mut listener = Watch(control);

    let mut out = Tensors::new();
    let prompts = [settings.prompt.as_str(), settings.negative_prompt.as_str()];
    let mut text = encode_text(&model, executor, settings.preset, &prompts, &mut listener)?;
    for (name, embedding) in ["prompt_embeds", "negative_prompt_embeds"].iter().zip(&text) {
        out.insert((*name).to_owned(), rows(&model, embedding));
    }
    // The reference asks the first guidance whether there is any.
    if settings.guidance[0] <= 1.0 {
        text.truncate(1);
    }

    let condition = match picture(case, &settings)? {
        Some(picture) => {
            let size = [settings.height, settings.width];
            encode_condition(&model, executor, &picture, size, settings.frames, &mut listener)?
        }
        None => Condition::None,
    };

    let ([batch, z, f, h, w], noise) = case.floats("latents")?;
    let shape = [batch, z, f, h, w];
    let [lf, lh, lw] = settings.latent(&model);
    if shape != [1, model.vae_config.z_dim, lf, lh, lw] {
        return Err(case.wrong("latents", format!("shape {shape:?} does not fit the size of the clip")));
    }
    let sampler = settings.sampler()?;
    let schedule = sampler.schedule();
    for (name, values) in [("sigmas", &schedule.sigmas), ("timesteps", &schedule.timesteps)] {
        out.insert(name.to_owned(), HostTensor::f32(&[values.len()], values.clone()));
    }
    let mut denoiser = Denoiser::new(&model, &settings, &condition, &text, noise.to_vec())?;
    let sampled = loop {
        match denoiser.step(executor, &mut listener) {
            Ok(true) => {
                let latent = HostTensor::f32(&shape, denoiser.latent().to_vec());
                out.insert(format!("latents.{}", denoiser.steps_done()), latent);
            }
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    denoiser.release(executor);
    sampled?;

    let (mut frames, mut count) = (Vec::new(), 0);
    decode(
        &model,
        executor,
        denoiser.latent(),
        [lf, lh, lw],
        None,
        &mut listener,
        &mut |frame| {
            count += 1;
            // [H, W, 3] to [3, H, W]
            frames.extend((0..3).flat_map(|c| frame.iter().skip(c).step_by(3)));
            Ok(())
        },
    )?;
    out.insert(
        "frames".to_owned(),
        HostTensor::f32(&[1, count, 3, settings.height, settings.width], frames),
    );
    Ok(out)
}

fn rows(model: &Model, embedding: &Embedding) -> HostTensor {
    HostTensor::f32(&[1, model.text_rows, model.text_config.d_model], embedding.rows.clone())
}

/// The call's arguments; what it does not say is the model's, as in diffusers.
fn settings(case: &Case, model: &Model) -> Result<Settings> {
    let text = |name: &str| {
        case.description
            .args
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let number = |name: &str| case.description.args.get(name).and_then(Value::as_f64);
    let defaults = model.defaults(Preset::Diffusers);
    let guidance = number("guidance_scale").unwrap_or(5.0);
    Ok(Settings {
        prompt: text("prompt"),
        negative_prompt: text("negative_prompt"),
        width: args(case, "width")?,
        height: args(case, "height")?,
        frames: args(case, "num_frames")?,
        fps: defaults.fps,
        steps: args(case, "num_inference_steps")?,
        guidance: [guidance, number("guidance_scale_2").unwrap_or(guidance)],
        shift: defaults.shift,
        sampler: SamplerKind::UniPc,
        preset: Preset::Diffusers,
        step_cache: None,
        attention: case.scores,
        seed: 0,
    })
}

fn args(case: &Case, name: &str) -> Result<usize> {
    case.description
        .count(name)
        .ok_or_else(|| case.malformed("case.json", format!("`args` has no whole number `{name}`")))
}

/// The picture of an image-to-video case, `[1, 3, H, W]` in 0 to 1, as `[H, W, 3]` in -1 to 1.
fn picture(case: &Case, settings: &Settings) -> Result<Option<Vec<f32>>> {
    if case.optional("image").is_none() {
        return Ok(None);
    }
    let (shape, pixels) = case.floats::<4>("image")?;
    if shape != [1, 3, settings.height, settings.width] {
        return Err(case.wrong("image", format!("shape {shape:?} is not that of the clip")));
    }
    let plane = settings.height * settings.width;
    Ok(Some(
        (0..plane)
            .flat_map(|at| (0..3).map(move |c| pixels[c * plane + at] * 2.0 - 1.0))
            .collect(),
    ))
}

/// A [`Control`] as a listener.
pub(super) struct Watch<'a>(pub(super) &'a mut dyn Control);

impl Listener for Watch<'_> {
    fn event(&mut self, event: &Event) {
        if let Event::Warning(why) = event {
            tracing::warn!("{why}");
        }
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_passes_on_that_it_should_stop() {
        struct Stop;
        impl Control for Stop {
            fn cancelled(&self) -> bool {
                true
            }
        }
        assert!(Watch(&mut Stop).cancelled());
        assert!(!Watch(&mut kinora_graph::NoControl).cancelled());
    }
}
