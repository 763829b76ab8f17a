//! Keys and values of the text, kept between steps or computed in each: the same bits.

use std::sync::Arc;

use kinora::{DeviceChoice, MemoryArgs, open_executor};
use kinora_graph::{Executor, HostTensor, NoControl, Precision, Scores};
use kinora_models::pipeline::{Condition, Denoiser, Settings, Silent, encode_text, initial_noise};
use kinora_models::sampler::Preset;
use kinora_models::wan::open::Source;
use kinora_models::wan::rope::timestep_embedding;
use kinora_models::wan::transformer::{StepShape, TextKeys, step_graph, text_graph};
use kinora_models::wan::{Model, TransformerConfig};
use kinora_quant::Weights;
use kinora_quant::synth::RuleWeights;

fn executor() -> Box<dyn Executor> {
    open_executor(&DeviceChoice::Cpu, Precision::F32, &MemoryArgs::default()).unwrap()
}

/// Both experts, with and without guidance.
#[test]
fn a_run_gives_the_same_bits_both_ways() {
    let model = Model::open(&Source {
        paths: vec![kinora_tests::root().join("../assets/demo-model")],
        ..Source::default()
    })
    .unwrap();
    let mut settings = Settings::new(&model, Preset::Diffusers, "a red circle moves left", 1);
    (settings.width, settings.height, settings.frames, settings.steps) = (32, 32, 5, 2);
    settings.guidance = [3.0, 1.0];
    let mut executor = executor();
    let prompts = [settings.prompt.as_str(), ""];
    let text = encode_text(&model, &mut *executor, settings.preset, &prompts, &mut Silent).unwrap();
    let [kept, inline] = [TextKeys::States, TextKeys::Inline].map(|keys| {
        let noise = initial_noise(&model, &settings);
        let mut denoiser = Denoiser::new(&model, &settings, &Condition::None, &text, noise)
            .unwrap()
            .with_text_keys(keys);
        while denoiser.step(&mut *executor, &mut Silent).unwrap() {}
        denoiser.release(&mut *executor);
        denoiser.latent().to_vec()
    });
    assert_ne!(kept, initial_noise(&model, &settings));
    assert_eq!(kept, inline);
}

/// Image tokens have keys and values of their own; without states a step needs less.
#[test]
fn image_tokens_give_the_same_bits_both_ways() {
    let case = kinora_tests::root().join("goldens/wan21-i2v-14b.transformer.t2h4w6-img17");
    let description: serde_json::Value =
        serde_json::from_slice(&std::fs::read(case.join("case.json")).unwrap()).unwrap();
    let config: TransformerConfig = serde_json::from_value(description["config"].clone()).unwrap();
    let weights: Arc<dyn Weights> = Arc::new(RuleWeights::from_json(case.join("weights.json")).unwrap());
    let mut shape = StepShape {
        latent: [2, 4, 6],
        text_rows: 9,
        image_rows: 17,
        timesteps: 1,
        prompted: false,
        branches: vec!["positive".into(), "negative".into()],
        expert: "high".into(),
        text_keys: TextKeys::States,
        scores: Scores::Float,
    };

    let wave = |shape: &[usize], step: f32| {
        let values = 0..shape.iter().product::<usize>();
        HostTensor::f32(shape, values.map(|i| (i as f32 * step).sin()).collect())
    };
    let texts = [0.37, 0.53].map(|step| wave(&[shape.text_rows, config.text_dim], step));
    let image = wave(&[shape.image_rows, config.image_dim.unwrap()], 0.71);
    let latent = wave(&[config.in_channels, 2, 4, 6], 0.11);
    let time = HostTensor::f32(&[1, config.freq_dim], timestep_embedding(&[500.0], config.freq_dim));
    let guidance = HostTensor::f32(&[2], vec![4.0, -3.0]);
    let step = [("latent", &latent), ("time", &time), ("guidance", &guidance)];
    let mut executor = executor();

    for (branch, text) in shape.branches.iter().zip(&texts) {
        let graph = text_graph(&config, &*weights, &shape, branch).unwrap();
        let program = executor.compile(graph, &weights).unwrap();
        let inputs = [("text", text), ("image", &image)];
        executor.run(program, &inputs, &mut NoControl).unwrap();
    }
    let graph = step_graph(&config, &*weights, &shape).unwrap();
    assert!(graph.footprint().states > 0);
    let program = executor.compile(graph, &weights).unwrap();
    let kept = executor.run(program, &step, &mut NoControl).unwrap();

    executor.clear_states();
    shape.text_keys = TextKeys::Inline;
    let graph = step_graph(&config, &*weights, &shape).unwrap();
    assert_eq!(graph.footprint().states, 0);
    let program = executor.compile(graph, &weights).unwrap();
    let mut inputs = step.to_vec();
    inputs.extend([
        ("text.positive", &texts[0]),
        ("text.negative", &texts[1]),
        ("image", &image),
    ]);
    let inline = executor.run(program, &inputs, &mut NoControl).unwrap();
    assert_eq!(kept, inline);
}
