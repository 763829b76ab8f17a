//! What stages tell whoever listens: progress bars, logs, JSON lines.

use kinora_graph::Requirements;
use serde::Serialize;

/// A stage of a render.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Kernels on the clock, where this device meets their work for the first time.
    Tuning,
    /// Prompts to embeddings.
    #[default]
    Text,
    /// Picture to latents.
    Picture,
    /// Noise to latents.
    Sampling,
    /// Latents to frames.
    Decoding,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Tuning => "tuning",
            Self::Text => "text",
            Self::Picture => "picture",
            Self::Sampling => "sampling",
            Self::Decoding => "decoding",
        })
    }
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A stage begins.
    Started {
        /// Which.
        stage: Stage,
        /// Steps or latent frames to do, 1 where there is nothing to count.
        count: usize,
    },
    /// A program was planned and has its room on the device.
    Planned {
        /// For which stage.
        stage: Stage,
        /// What it takes.
        needs: Requirements,
    },
    /// Weights are brought to the device.
    Loading {
        /// For which stage.
        stage: Stage,
        /// Bytes copied.
        done: u64,
        /// Bytes that this run copies.
        total: u64,
    },
    /// Share of the stage that is done, 0 to 1.
    Progress {
        /// Which stage.
        stage: Stage,
        /// 0 to 1.
        done: f64,
    },
    /// A sampling step ended.
    Step {
        /// Steps done.
        done: usize,
        /// Steps in all.
        count: usize,
        /// Whether this one was not computed: see [`super::StepCache`].
        skipped: bool,
    },
    /// A stage ended.
    Finished {
        /// Which.
        stage: Stage,
    },
    /// Something to know that is not an error.
    Warning(String),
}

/// Hears events and can stop the run.
pub trait Listener {
    /// Called for each event, in order.
    fn event(&mut self, event: &Event);

    /// Asked now and then; `true` ends the stage with [`kinora_graph::Error::Cancelled`].
    fn cancelled(&self) -> bool {
        false
    }
}

/// Hears nothing.
pub struct Silent;

impl Listener for Silent {
    fn event(&mut self, _event: &Event) {}
}
