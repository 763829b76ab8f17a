//! Two denoising steps of full-size transformers, one after the other as two experts are, within a budget of device
//! memory, on a tiny latent: `cargo run -p kinora-tests --bin full-size -- VRAM BLOCKS FILE…`, files as `kinora synth`
//! writes them, BLOCKS a number or `all`. Prints what was planned and what was measured, and what the first step takes
//! beside the time that its weights need to reach the device.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use kinora::memory::Size;
use kinora_graph::{Executor, HostTensor, NoControl, Scores};
use kinora_models::wan::TransformerConfig;
use kinora_models::wan::names::Part;
use kinora_models::wan::open::open_part;
use kinora_models::wan::rope::timestep_embedding;
use kinora_models::wan::transformer::{StepShape, TextKeys, step_graph};
use kinora_runtime::{Device, GpuExecutor, Options};

/// Frames, height and width of the latent.
const LATENT: [usize; 3] = [1, 4, 4];

/// Rows of text: keys and values of 512 would take most of the time.
const TEXT_ROWS: usize = 16;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let vram: Size = arguments
        .next()
        .context("VRAM is missing, e.g. 4G")?
        .parse()
        .map_err(anyhow::Error::msg)?;
    let blocks = match arguments.next().context("BLOCKS is missing: a number or `all`")? {
        all if all == "all" => None,
        number => Some(number.parse().context("BLOCKS is a number or `all`")?),
    };
    let files: Vec<_> = arguments.collect();
    anyhow::ensure!(!files.is_empty(), "FILE is missing");
    let device = Device::open(None)?;
    let rate = upload_rate(&device)?;
    let options = Options {
        memory: Some(vram.0),
        ..Options::default()
    };
    let mut executor = GpuExecutor::with_options(device.clone(), device.capabilities(), options);
    println!("{}; uploads take {:.2} GB/s", executor.describe(), rate / 1e9);
    let mut planned = 0;
    for file in &files {
        planned = planned.max(steps(&mut executor, file.as_ref(), blocks, rate)?);
    }
    let ratio = executor.device_peak() as f64 / planned as f64;
    println!("measured over planned: {ratio:.4}");
    Ok(())
}

/// Bytes of an upload on the clock: as with weights, most of them come into memory that the system has yet to clear.
const UPLOAD: usize = 1 << 30;

/// Bytes a second, the best of three uploads.
fn upload_rate(device: &Device) -> anyhow::Result<f64> {
    let bytes = vec![7; UPLOAD];
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        least = least.min(device.time_upload(&bytes)?);
    }
    device.ledger().reset_peak();
    Ok(bytes.len() as f64 / least)
}

/// Bytes of device memory that were planned.
fn steps(executor: &mut dyn Executor, file: &Path, blocks: Option<usize>, rate: f64) -> anyhow::Result<u64> {
    let weights = open_part(file, Part::Transformer)?;
    let mut config = TransformerConfig::detect(&*weights)?;
    config.num_layers = blocks.unwrap_or(config.num_layers);
    let shape = StepShape {
        latent: LATENT,
        text_rows: TEXT_ROWS,
        image_rows: 0,
        timesteps: 1,
        prompted: false,
        branches: vec!["positive".into(), "negative".into()],
        expert: "only".into(),
        text_keys: TextKeys::Inline,
        scores: Scores::Float,
    };
    let graph = step_graph(&config, &*weights, &shape)?;
    let needs = executor.forecast(&graph)?;
    println!(
        "{}, {} blocks: {} MiB of weights, {} MiB resident, ring {} MiB, {} MiB pass in each run, {} MiB planned in all",
        file.display(),
        config.num_layers,
        needs.weights >> 20,
        needs.resident >> 20,
        needs.ring >> 20,
        needs.streamed >> 20,
        needs.device_bytes() >> 20
    );
    let [f, h, w] = LATENT;
    let wave = |n: usize| (0..n).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>();
    let latent = HostTensor::f32(&[config.in_channels, f, h, w], wave(config.in_channels * f * h * w));
    let time = HostTensor::f32(&[1, config.freq_dim], timestep_embedding(&[500.0], config.freq_dim));
    let text = HostTensor::f32(&[TEXT_ROWS, config.text_dim], wave(TEXT_ROWS * config.text_dim));
    let guidance = HostTensor::f32(&[2], vec![5.0, -4.0]);
    let inputs = [
        ("latent", &latent),
        ("time", &time),
        ("text.positive", &text),
        ("text.negative", &text),
        ("guidance", &guidance),
    ];
    let start = Instant::now();
    let program = executor.compile(graph, &(weights as Arc<_>))?;
    let mut results = Vec::new();
    let mut seconds = Vec::new();
    for step in 0..2 {
        // Compiling is a part of the first.
        let start = if step == 0 { start } else { Instant::now() };
        let velocity = executor.run(program, &inputs, &mut NoControl)?.remove("velocity");
        seconds.push(start.elapsed().as_secs_f64());
        results.push(velocity.context("the graph has this output")?.into_f32()?);
    }
    let velocity = &results[0];
    anyhow::ensure!(velocity.iter().all(|v| v.is_finite()), "the result is not finite");
    anyhow::ensure!(*velocity == results[1], "the second step gives another result");
    let sum: f64 = velocity.iter().map(|v| f64::from(v.abs())).sum();
    let (first, next, upload) = (seconds[0], seconds[1], needs.weights as f64 / rate);
    println!(
        "{first:.1} s, then {next:.1} s, mean magnitude {:.5}, {} MiB at most",
        sum / velocity.len() as f64,
        executor.device_peak() >> 20
    );
    println!(
        "uploading takes {upload:.2} s: the first step {:.2} times as long, {:.2} more than the next",
        first / upload,
        (first - next) / upload
    );
    executor.release(program);
    Ok(needs.device_bytes())
}
