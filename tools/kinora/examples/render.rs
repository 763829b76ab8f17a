//! Rendering from a program that uses the crates: `cargo run -p kinora --example render -- MODEL_FOLDER clip.webp`.
//!
//! The stages are functions over plain data; progress comes as events; frames go to a sink one by one.

use std::path::Path;

use kinora::{DeviceChoice, MemoryArgs, open_executor};
use kinora_graph::Precision;
use kinora_media::{Frame, Options, Rational};
use kinora_models::pipeline::{Condition, Denoiser, Settings, Silent, decode, encode_text, initial_noise};
use kinora_models::wan::{Model, Source};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(folder), Some(output)) = (args.next(), args.next()) else {
        anyhow::bail!("usage: render MODEL_FOLDER OUTPUT");
    };
    let model = Model::open(&Source {
        paths: vec![folder.into()],
        ..Source::default()
    })?;
    let mut settings = Settings::new(
        &model,
        model.default_preset(),
        "a green square moves up on a white background",
        1,
    );
    settings.steps = 8;
    settings.check(&model)?;
    let mut executor = open_executor(&DeviceChoice::Default, Precision::F32, &MemoryArgs::default())?;

    let prompts = [settings.prompt.as_str(), settings.negative_prompt.as_str()];
    let text = encode_text(&model, &mut *executor, settings.preset, &prompts, &mut Silent)?;

    let mut denoiser = Denoiser::new(
        &model,
        &settings,
        &Condition::None,
        &text,
        initial_noise(&model, &settings),
    )?;
    while denoiser.step(&mut *executor, &mut Silent)? {
        println!("{} of {} steps", denoiser.steps_done(), settings.steps);
    }
    denoiser.release(&mut *executor);

    let fps = Rational::from_f64(settings.fps).expect("the settings were checked");
    let mut options = Options::new(settings.width, settings.height, fps);
    options.frames = Some(settings.frames);
    let mut sink = kinora_media::create(Path::new(&output), &options)?;
    let mut write = |rgb: &[f32]| {
        let frame = Frame {
            width: settings.width,
            height: settings.height,
            rgb,
        };
        sink.write(&frame)
            .map_err(|e| kinora_models::Error::Output(Box::new(e)))
    };
    let shape = settings.latent(&model);
    decode(
        &model,
        &mut *executor,
        denoiser.latent(),
        shape,
        None,
        &mut Silent,
        &mut write,
    )?;
    println!("{}", sink.finish()?.path.display());
    Ok(())
}
