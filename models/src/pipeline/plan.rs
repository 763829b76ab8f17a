//! What a render will take, and how it fits: worked out before anything runs.

use std::collections::BTreeSet;

use kinora_graph::{Executor, Graph, Requirements};

use super::{Settings, Stage};
use crate::text::umt5;
use crate::wan::transformer::{StepShape, TextKeys, step_graph, text_graph};
use crate::wan::vae::{Chunk, Tiling, decoder_graph, encoder_graph, tiled_host_bytes, tilings};
use crate::wan::{Conditioning, Expert, Model};
use crate::{Error, Result};

/// A render as it will run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In order.
    pub stages: Vec<PlannedStage>,
    /// Where the text's keys and values come from.
    pub text_keys: TextKeys,
    /// How the picture is decoded.
    pub tiling: Option<Tiling>,
}

/// What a stage takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlannedStage {
    /// Which.
    pub stage: Stage,
    /// Bytes of weights, as stored.
    pub weights: u64,
    /// Bytes of intermediate values and states.
    pub activations: u64,
    /// The most that is on the device at once.
    pub device: u64,
    /// The most of the host's memory, files that are mapped not counted.
    pub host: u64,
    /// Bytes that are read from files at least once.
    pub disk: u64,
    /// Bytes of weights that pass through the device again in each run, and how often that is.
    pub streamed: (u64, usize),
    /// Multiply-adds times two, all runs together.
    pub flops: u64,
    /// Estimated seconds, all runs together.
    pub seconds: f64,
}

impl PlannedStage {
    fn new(stage: Stage) -> Self {
        Self {
            stage,
            ..Self::default()
        }
    }

    /// Adds a program that runs `runs` times while nothing else of the stage is on the device.
    fn add(&mut self, needs: &Requirements, runs: usize) {
        self.weights = self.weights.max(needs.weights);
        self.activations = self.activations.max(needs.activations + needs.states);
        self.device = self.device.max(needs.device_bytes());
        self.host = self.host.max(needs.host);
        if needs.streamed > self.streamed.0 {
            self.streamed = (needs.streamed, runs);
        }
        self.flops += needs.flops * runs as u64;
        self.seconds += needs.seconds * runs as f64;
    }
}

impl Plan {
    /// Plans a render on `executor`, within its memory and `ram` bytes of the host's; `picture` where it starts from one.
    /// Keys and values of the text are
    /// computed in each step where there is no room to keep them; the picture is decoded in tiles where there is no
    /// room for a whole frame.
    ///
    /// # Errors
    /// [`Error::DoesNotFit`] with the nearest settings that do.
    pub fn new(model: &Model, settings: &Settings, picture: bool, executor: &dyn Executor, ram: u64) -> Result<Self> {
        match Self::attempt(model, settings, picture, executor, ram) {
            Err(Error::Graph(kinora_graph::Error::OutOfMemory {
                what,
                needed,
                available,
                remedy,
            })) => Err(Error::DoesNotFit {
                what,
                needed,
                available,
                nearest: nearest(model, settings, picture, executor, ram).unwrap_or(remedy),
            }),
            result => result,
        }
    }

    fn attempt(model: &Model, settings: &Settings, picture: bool, executor: &dyn Executor, ram: u64) -> Result<Self> {
        let (sampling, text_keys) = sampling(model, settings, executor)?;
        let (decoding, tiling) = decoding(model, settings, executor)?;
        let mut stages = vec![text(model, settings, executor)?];
        if picture {
            stages.push(encoding(model, settings, executor)?);
        }
        stages.extend([sampling, decoding]);
        let plan = Self {
            stages,
            text_keys,
            tiling,
        };
        let host = plan.host();
        if host > ram {
            return Err(Error::Graph(kinora_graph::Error::OutOfMemory {
                what: "the machine's own part of the work".into(),
                needed: host,
                available: ram,
                remedy: "raise `--ram` or close other programs".into(),
            }));
        }
        Ok(plan)
    }

    /// The most that is on the device at once.
    pub fn device(&self) -> u64 {
        self.stages.iter().map(|s| s.device).max().unwrap_or(0)
    }

    /// The most of the host's memory.
    pub fn host(&self) -> u64 {
        self.stages.iter().map(|s| s.host).max().unwrap_or(0)
    }

    /// Estimated seconds.
    pub fn seconds(&self) -> f64 {
        self.stages.iter().map(|s| s.seconds).sum()
    }

    /// Multiply-adds times two.
    pub fn flops(&self) -> u64 {
        self.stages.iter().map(|s| s.flops).sum()
    }
}

/// The longest prompt that the model takes, for the prompt and the negative one.
fn text(model: &Model, settings: &Settings, executor: &dyn Executor) -> Result<PlannedStage> {
    let graph = umt5::encoder_graph(&model.text_config, &*model.text_encoder, model.text_rows, false)?;
    let mut stage = PlannedStage::new(Stage::Text);
    let guided = settings.guidance.iter().any(|g| *g > 1.0);
    stage.add(&executor.forecast(&graph)?, 1 + usize::from(guided));
    stage.disk = weight_bytes([&graph]);
    Ok(stage)
}

/// The picture, and grey frames after it where the model wants a whole clip.
fn encoding(model: &Model, settings: &Settings, executor: &dyn Executor) -> Result<PlannedStage> {
    let size = [settings.height, settings.width];
    let later = match model.conditioning {
        Conditioning::Channels => model.vae_config.latent_frames(settings.frames) - 1,
        Conditioning::FirstFrame | Conditioning::Text => 0,
    };
    let mut stage = PlannedStage::new(Stage::Picture);
    let mut graphs = Vec::new();
    for (chunk, runs) in [(Chunk::First, 1), (Chunk::Later, later)] {
        if runs > 0 {
            let graph = encoder_graph(&model.vae_config, &*model.vae, size, chunk)?;
            stage.add(&executor.forecast(&graph)?, runs);
            graphs.push(graph);
        }
    }
    stage.disk = weight_bytes(&graphs);
    stage.host += 2 * 4 * 3 * (model.vae_config.temporal_factor() * settings.width * settings.height) as u64;
    Ok(stage)
}

/// All steps of all experts. Keys and values are kept where that fits.
fn sampling(model: &Model, settings: &Settings, executor: &dyn Executor) -> Result<(PlannedStage, TextKeys)> {
    match sampling_with(model, settings, executor, TextKeys::States) {
        Err(Error::Graph(kinora_graph::Error::OutOfMemory { .. })) => {
            let stage = sampling_with(model, settings, executor, TextKeys::Inline)?;
            Ok((stage, TextKeys::Inline))
        }
        result => Ok((result?, TextKeys::States)),
    }
}

fn sampling_with(model: &Model, settings: &Settings, executor: &dyn Executor, keys: TextKeys) -> Result<PlannedStage> {
    let mut stage = PlannedStage::new(Stage::Sampling);
    let sampler = settings.sampler()?;
    let lows: Vec<bool> = sampler.schedule().timesteps.iter().map(|t| model.is_low(*t)).collect();
    let first_frame = model.conditioning == Conditioning::FirstFrame;
    for low in [false, true] {
        let steps = lows.iter().filter(|l| **l == low).count();
        if steps == 0 {
            continue;
        }
        let Expert { config, weights, .. } = model.expert(low);
        let shape = step_shape(
            model,
            settings,
            first_frame,
            low,
            settings.guidance[usize::from(low)] > 1.0,
            keys,
        );
        let step = step_graph(config, &**weights, &shape)?;
        let mut graphs = vec![step];
        let needs = executor.forecast(&graphs[0])?;
        if keys == TextKeys::States {
            let text = text_graph(config, &**weights, &shape, &shape.branches[0])?;
            let mut needed = executor.forecast(&text)?;
            // The other branch's are there already when the last one's are made.
            needed.states *= shape.branches.len() as u64;
            stage.add(&needed, shape.branches.len());
            graphs.push(text);
        }
        stage.add(&needs, steps);
        stage.disk += weight_bytes(&graphs);
    }
    // The latent, the velocity, the solver's history, the model's input and its copies.
    stage.host += 8 * 4 * (model.high.config.in_channels * settings.latent(model).iter().product::<usize>()) as u64;
    Ok(stage)
}

/// The whole clip; in tiles only where a chunk of whole frames does not fit.
fn decoding(model: &Model, settings: &Settings, executor: &dyn Executor) -> Result<(PlannedStage, Option<Tiling>)> {
    let [_, h, w] = settings.latent(model);
    let mut refused = None;
    for tiling in tilings(&model.vae_config, [h, w]) {
        match decoding_with(model, settings, executor, tiling) {
            Err(error @ Error::Graph(kinora_graph::Error::OutOfMemory { .. })) => refused = Some(error),
            result => return Ok((result?, tiling)),
        }
    }
    Err(refused.expect("decoding whole is always proposed"))
}

fn decoding_with(
    model: &Model,
    settings: &Settings,
    executor: &dyn Executor,
    tiling: Option<Tiling>,
) -> Result<PlannedStage> {
    let config = &model.vae_config;
    let [count, h, w] = settings.latent(model);
    let size = tiling.map_or([h, w], |t| t.largest([h, w]));
    let tiles = tiling.map_or(1, |t| t.spans([h, w]).iter().map(Vec::len).product());
    let mut stage = PlannedStage::new(Stage::Decoding);
    let mut graphs = Vec::new();
    for (chunk, runs) in [
        (Chunk::First, 1),
        (Chunk::Second, 1),
        (Chunk::Later, count.saturating_sub(2)),
    ] {
        if graphs.len() < count {
            let graph = decoder_graph(config, &*model.vae, size, chunk)?;
            stage.add(&executor.forecast(&graph)?, runs * tiles);
            graphs.push(graph);
        }
    }
    stage.disk = weight_bytes(&graphs);
    let frame = 4 * 3 * (settings.width * settings.height) as u64;
    stage.host += match tiling {
        Some(tiling) => tiled_host_bytes(config, [count, h, w], &tiling),
        None => 2 * config.temporal_factor() as u64 * frame,
    };
    Ok(stage)
}

/// Bytes of the weights of some graphs, each counted once.
fn weight_bytes<'a>(graphs: impl IntoIterator<Item = &'a Graph>) -> u64 {
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    for graph in graphs {
        for matrix in graph.nodes().iter().filter_map(|node| node.op.matrix()) {
            if seen.insert((matrix.name.clone(), matrix.rows.start, matrix.rows.end)) {
                bytes += matrix.bytes() as u64;
            }
        }
    }
    bytes
}

/// What an expert's step is built for.
pub(super) fn step_shape(
    model: &Model,
    settings: &Settings,
    first_frame: bool,
    low: bool,
    guided: bool,
    text_keys: TextKeys,
) -> StepShape {
    let branches = &["positive", "negative"][..1 + usize::from(guided)];
    StepShape {
        latent: settings.latent(model),
        text_rows: model.text_rows,
        image_rows: 0,
        timesteps: 1 + usize::from(first_frame),
        prompted: guided && settings.step_cache.is_some(),
        branches: branches.iter().map(|b| (*b).to_owned()).collect(),
        expert: if low { "low" } else { "high" }.to_owned(),
        text_keys,
        scores: settings.attention,
    }
}

/// The most frames of this size that fit, and the largest picture of this shape, in words.
fn nearest(model: &Model, settings: &Settings, picture: bool, executor: &dyn Executor, ram: u64) -> Option<String> {
    let fits = |settings: &Settings| Plan::attempt(model, settings, picture, executor, ram).is_ok();
    let mut found = Vec::new();
    let factor = model.vae_config.temporal_factor();
    let with_frames = |n: usize| Settings {
        frames: n * factor + 1,
        ..settings.clone()
    };
    // The largest n between `low`, which fits, and `high`, which does not.
    let (mut low, mut high) = (0, settings.frames / factor);
    if high > 0 && fits(&with_frames(0)) {
        while high - low > 1 {
            let middle = (low + high) / 2;
            if fits(&with_frames(middle)) {
                low = middle;
            } else {
                high = middle;
            }
        }
        found.push(format!("--frames {}", with_frames(low).frames));
    }
    let multiple = model.size_multiple();
    for tenths in (2..10).rev() {
        let scaled = |side: usize| (side * tenths / 10 / multiple * multiple).max(multiple);
        let smaller = Settings {
            width: scaled(settings.width),
            height: scaled(settings.height),
            ..settings.clone()
        };
        if fits(&smaller) {
            found.push(format!("--size {}x{}", smaller.width, smaller.height));
            break;
        }
    }
    let found = found.join(", or ");
    (!found.is_empty()).then(|| format!("what fits: {found}; or use a file with smaller weights (`kinora quantize`)"))
}
