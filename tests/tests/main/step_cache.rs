//! Skipped steps: which, and that a stopped run skips the same.

use kinora::{DeviceChoice, MemoryArgs, open_executor};
use kinora_graph::{Executor, Precision};
use kinora_models::pipeline::{
    Checkpoint, Condition, Denoiser, Embedding, Event, Listener, Settings, Silent, encode_text, initial_noise,
};
use kinora_models::wan::Model;
use kinora_models::wan::open::Source;

/// Which steps were skipped.
#[derive(Default)]
struct Steps(Vec<bool>);

impl Listener for Steps {
    fn event(&mut self, event: &Event) {
        if let Event::Step { skipped, .. } = event {
            self.0.push(*skipped);
        }
    }
}

struct Run {
    model: Model,
    text: Vec<Embedding>,
    executor: Box<dyn Executor>,
}

impl Run {
    fn new() -> Self {
        let model = Model::open(&Source {
            paths: vec![kinora_tests::root().join("../assets/demo-model")],
            ..Source::default()
        })
        .unwrap();
        let mut executor = open_executor(&DeviceChoice::Cpu, Precision::F32, &MemoryArgs::default()).unwrap();
        let settings = settings(&model, None);
        let prompts = [settings.prompt.as_str(), ""];
        let text = encode_text(&model, &mut *executor, settings.preset, &prompts, &mut Silent).unwrap();
        Self { model, text, executor }
    }

    /// The latent, and which steps were skipped. With a checkpoint the run is stopped and goes on at that step.
    fn latent(&mut self, threshold: Option<f64>, stop: Option<usize>) -> (Vec<u32>, Vec<bool>) {
        let settings = settings(&self.model, threshold);
        let start = || {
            let noise = initial_noise(&self.model, &settings);
            Denoiser::new(&self.model, &settings, &Condition::None, &self.text, noise).unwrap()
        };
        let mut steps = Steps::default();
        let mut denoiser = start();
        while stop != Some(denoiser.steps_done()) && denoiser.step(&mut *self.executor, &mut steps).unwrap() {}
        if stop.is_some() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("checkpoint.safetensors");
            let checkpoint = Checkpoint {
                settings: settings.clone(),
                model: serde_json::Value::Null,
                fingerprints: vec![],
                progress: denoiser.progress(),
                text: self.text.clone(),
                condition: Condition::None,
            };
            checkpoint.save(&path, &self.model).unwrap();
            let stored = Checkpoint::load(&path).unwrap();
            stored.check(&path, &self.model).unwrap();
            denoiser.release(&mut *self.executor);
            denoiser = start();
            denoiser.restore(stored.progress).unwrap();
            while denoiser.step(&mut *self.executor, &mut steps).unwrap() {}
        }
        denoiser.release(&mut *self.executor);
        assert_eq!(denoiser.steps_skipped(), steps.0.iter().filter(|s| **s).count());
        (denoiser.latent().iter().map(|v| v.to_bits()).collect(), steps.0)
    }
}

fn settings(model: &Model, step_cache: Option<f64>) -> Settings {
    let mut settings = Settings::new(model, model.default_preset(), "a red circle moves left", 1);
    (settings.width, settings.height, settings.frames, settings.steps) = (32, 32, 5, 16);
    settings.step_cache = step_cache;
    settings
}

#[test]
fn steps_are_skipped_as_far_as_the_threshold_goes() {
    let mut run = Run::new();
    let (expected, _) = run.latent(None, None);
    let (found, skipped) = run.latent(Some(0.0), None);
    assert!(found == expected && skipped == [false; 16]);
    let (some, skipped_some) = run.latent(Some(0.1), None);
    let (_, skipped) = run.latent(Some(1.0), None);
    assert!(!skipped[..7].contains(&true) && skipped.contains(&true) && !skipped[15]);
    let count = |steps: &[bool]| steps.iter().filter(|s| **s).count();
    assert!(
        (1..=count(&skipped)).contains(&count(&skipped_some)),
        "{skipped_some:?}"
    );
    assert!(some != expected);
    // Stopped before anything is known, while all is computed, and between skipped steps.
    for stop in [0, 6, 9, 10] {
        assert!(
            (some.clone(), skipped_some.clone()) == run.latent(Some(0.1), Some(stop)),
            "{stop}"
        );
    }
}
