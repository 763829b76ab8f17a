//! The same clip within less and less memory of the device.

use kinora::memory::Size;
use kinora::{DeviceChoice, MemoryArgs, open_executor};
use kinora_graph::{Error as GraphError, Executor, Precision};
use kinora_models::Error;
use kinora_models::pipeline::{Condition, Denoiser, Plan, Settings, Silent, decode, encode_text, initial_noise};
use kinora_models::sampler::Preset;
use kinora_models::wan::{Model, Source};

/// A clip made within a budget.
struct Clip {
    latent: Vec<u32>,
    frames: Vec<u32>,
    plan: Plan,
    /// Most bytes on the device at once.
    peak: u64,
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn executor(memory: Option<u64>) -> Option<Box<dyn Executor>> {
    let memory = MemoryArgs {
        vram: Some(Size(memory.unwrap_or(1 << 40))),
        ram: None,
    };
    match open_executor(&DeviceChoice::Default, Precision::F32, &memory) {
        Ok(executor) => Some(executor),
        Err(GraphError::Device { .. }) if std::env::var_os("KINORA_REQUIRE_GPU").is_none() => None,
        Err(error) => panic!("{error}"),
    }
}

fn render(executor: &mut dyn Executor, model: &Model, settings: &Settings) -> Result<Clip, Error> {
    let plan = Plan::new(model, settings, false, executor, u64::MAX)?;
    let prompts = [settings.prompt.as_str(), settings.negative_prompt.as_str()];
    let text = encode_text(model, executor, settings.preset, &prompts, &mut Silent)?;
    let noise = initial_noise(model, settings);
    let mut denoiser = Denoiser::new(model, settings, &Condition::None, &text, noise)?.with_text_keys(plan.text_keys);
    while denoiser.step(executor, &mut Silent)? {}
    denoiser.release(executor);
    let latent = denoiser.latent().to_vec();
    let mut frames = Vec::new();
    let mut sink = |frame: &[f32]| {
        frames.extend(bits(frame));
        Ok(())
    };
    decode(
        model,
        executor,
        &latent,
        settings.latent(model),
        plan.tiling,
        &mut Silent,
        &mut sink,
    )?;
    Ok(Clip {
        latent: bits(&latent),
        frames,
        peak: executor.device_peak(),
        plan,
    })
}

#[test]
fn a_clip_does_not_depend_on_the_memory_that_it_may_use() {
    let Some(mut whole) = executor(None) else { return };
    let source = Source {
        paths: vec![kinora_tests::root().join("../assets/demo-model")],
        ..Source::default()
    };
    let model = Model::open(&source).unwrap();
    let mut settings = Settings::new(&model, Preset::Diffusers, "a red circle", 3);
    (settings.width, settings.height, settings.frames, settings.steps) = (48, 48, 9, 2);
    let resident = render(&mut *whole, &model, &settings).unwrap();
    assert!(resident.plan.stages.iter().all(|stage| stage.streamed.0 == 0));
    let planned = resident.plan.device();
    assert!(
        resident.peak.abs_diff(planned) <= planned / 20,
        "{} bytes at most, {planned} planned",
        resident.peak
    );

    let (mut streamed, mut inline, mut tiled) = (0, 0, 0);
    for percent in (10..100).rev().step_by(6) {
        let budget = planned * percent / 100;
        let mut executor = executor(Some(budget)).unwrap();
        let clip = match render(&mut *executor, &model, &settings) {
            Ok(clip) => clip,
            Err(Error::DoesNotFit { needed, available, .. }) => {
                assert!(needed > available, "{needed} of {available} bytes");
                break;
            }
            Err(error) => panic!("within {budget} bytes: {error}"),
        };
        assert!(clip.peak <= budget, "{} of {budget} bytes", clip.peak);
        assert!(clip.latent == resident.latent, "within {budget} bytes");
        streamed += usize::from(clip.plan.stages.iter().any(|stage| stage.streamed.0 > 0));
        inline += usize::from(clip.plan.text_keys != resident.plan.text_keys);
        match clip.plan.tiling {
            None => assert!(clip.frames == resident.frames, "within {budget} bytes"),
            // Tiles may change the picture, and nothing else may.
            Some(_) => tiled += 1,
        }
    }
    println!("{streamed} budgets with weights in passing, {inline} with keys in each step, {tiled} with tiles");
    assert!(streamed >= 3, "only {streamed} tight budgets fit");
}
