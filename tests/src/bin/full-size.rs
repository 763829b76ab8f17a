//! One denoising step of a full-size transformer within a budget of device memory, on a tiny latent:
//! `cargo run -p kinora-tests --bin full-size -- FILE VRAM [BLOCKS] [DEVICE]`, FILE as `kinora synth` writes it.
//! Prints what was planned and what was measured.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use kinora::memory::Size;
use kinora::{DeviceChoice, MemoryArgs, open_executor};
use kinora_graph::{HostTensor, NoControl, Precision};
use kinora_models::wan::TransformerConfig;
use kinora_models::wan::names::Part;
use kinora_models::wan::open::open_part;
use kinora_models::wan::rope::timestep_embedding;
use kinora_models::wan::transformer::{StepShape, TextKeys, step_graph};

/// Frames, height and width of the latent.
const LATENT: [usize; 3] = [1, 4, 4];

/// Rows of text: keys and values of 512 would take most of the time.
const TEXT_ROWS: usize = 16;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().context("FILE is missing")?;
    let vram: Size = arguments
        .next()
        .context("VRAM is missing")?
        .parse()
        .map_err(anyhow::Error::msg)?;
    let blocks = arguments.next().map(|n| n.parse()).transpose()?;
    let device: DeviceChoice = arguments.next().unwrap_or_default().parse()?;
    let memory = MemoryArgs {
        vram: Some(vram),
        ram: None,
    };
    let mut executor = open_executor(&device, Precision::F32, &memory)?;
    let weights = open_part(file.as_ref(), Part::Transformer)?;
    let mut config = TransformerConfig::detect(&*weights)?;
    config.num_layers = blocks.unwrap_or(config.num_layers);
    let shape = StepShape {
        latent: LATENT,
        text_rows: TEXT_ROWS,
        image_rows: 0,
        timesteps: 1,
        branches: vec!["positive".into(), "negative".into()],
        expert: "only".into(),
        text_keys: TextKeys::Inline,
    };
    let graph = step_graph(&config, &*weights, &shape)?;
    let needs = executor.forecast(&graph)?;
    println!(
        "{} blocks on {}: {} MiB of weights, {} MiB resident, ring {} MiB, {} MiB pass in each run, {} MiB planned in all",
        config.num_layers,
        executor.describe(),
        needs.weights >> 20,
        needs.resident >> 20,
        needs.ring >> 20,
        needs.streamed >> 20,
        needs.device_bytes() >> 20
    );
    let program = executor.compile(graph, &(weights as Arc<_>))?;
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
    for run in 1..=2 {
        let start = Instant::now();
        let velocity = executor.run(program, &inputs, &mut NoControl)?.remove("velocity");
        let velocity = velocity.context("the graph has this output")?.into_f32()?;
        anyhow::ensure!(velocity.iter().all(|v| v.is_finite()), "the result is not finite");
        let sum: f64 = velocity.iter().map(|v| f64::from(v.abs())).sum();
        println!(
            "run {run}: {:.1} s, mean magnitude {:.5}, {} MiB at most",
            start.elapsed().as_secs_f64(),
            sum / velocity.len() as f64,
            executor.device_peak() >> 20
        );
    }
    let (planned, peak) = (needs.device_bytes(), executor.device_peak());
    println!("measured over planned: {:.3}", peak as f64 / planned as f64);
    Ok(())
}
