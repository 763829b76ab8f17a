//! Renders 5 frames of 32x32 with Wan 2.2 TI2V-5B's true widths and generated weights, from prompt to frames:
//! `cargo run -p kinora-tests --bin small-5b [-- DEVICE]`. Prints what each stage took.

use std::time::Instant;

use kinora::{DeviceChoice, MemoryArgs, open_executor};
use kinora_graph::Precision;
use kinora_models::pipeline::{Condition, Denoiser, Event, Listener, Settings, decode, encode_text, initial_noise};
use kinora_models::sampler::Preset;

/// Prints every event but progress.
struct Printer(Instant);

impl Listener for Printer {
    fn event(&mut self, event: &Event) {
        if !matches!(event, Event::Progress { .. }) {
            println!("{:7.1} s  {event:?}", self.0.elapsed().as_secs_f64());
        }
    }
}

fn main() -> anyhow::Result<()> {
    let device: DeviceChoice = std::env::args().nth(1).unwrap_or_default().parse()?;
    let mut printer = Printer(Instant::now());
    let mut executor = open_executor(&device, Precision::F32, &MemoryArgs::default())?;
    println!("{}", executor.describe());
    let model = kinora_tests::small_5b::model(2)?;
    let mut settings = Settings::new(&model, Preset::Official, "a lighthouse in a storm", 7);
    (settings.width, settings.height, settings.frames, settings.steps) = (32, 32, 5, 2);
    settings.negative_prompt = "blurry, static".into();
    settings.check(&model)?;
    let prompts = [settings.prompt.as_str(), settings.negative_prompt.as_str()];
    let text = encode_text(&model, &mut *executor, settings.preset, &prompts, &mut printer)?;
    let noise = initial_noise(&model, &settings);
    let mut denoiser = Denoiser::new(&model, &settings, &Condition::None, &text, noise)?;
    while denoiser.step(&mut *executor, &mut printer)? {}
    denoiser.release(&mut *executor);
    let latent = denoiser.latent().to_vec();
    let mut frames = 0;
    let mut sink = |frame: &[f32]| {
        let mean = frame.iter().sum::<f32>() / frame.len() as f32;
        frames += 1;
        println!("{:7} frame {frames}: mean {mean:.4}", "");
        Ok(())
    };
    decode(
        &model,
        &mut *executor,
        &latent,
        settings.latent(&model),
        None,
        &mut printer,
        &mut sink,
    )?;
    println!("{frames} frames; peak resident memory {}", peak_memory());
    Ok(())
}

/// The process's peak resident set, where the system tells.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".into(), |kib| kib.trim().to_owned())
}
