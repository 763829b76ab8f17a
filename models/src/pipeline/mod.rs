//! The stages of a render: text, picture, sampling, decoding. They are joined by plain data (embeddings, latents,
//! frames), so that each can be run, resumed or replaced by itself.

mod checkpoint;
mod condition;
mod decode;
mod denoise;
mod event;
mod plan;
mod settings;
mod step_cache;
mod text;
mod tune;

pub use checkpoint::Checkpoint;
pub use condition::{Condition, encode_clip, encode_condition};
pub use decode::{Decoder, decode};
pub use denoise::{Denoiser, Progress, initial_noise};
pub use event::{Event, Listener, Silent, Stage};
pub use plan::{Plan, PlannedStage};
pub use settings::Settings;
pub use step_cache::StepCache;
pub use text::{Embedding, encode_text};
pub use tune::tune;

use kinora_graph::Control;

/// Passes a program's progress on to a listener, as part `index` of `count` of a stage.
struct StageControl<'a> {
    listener: &'a mut dyn Listener,
    stage: Stage,
    index: usize,
    count: usize,
}

impl Control for StageControl<'_> {
    fn progress(&mut self, fraction: f64) {
        let done = (self.index as f64 + fraction) / self.count as f64;
        self.listener.event(&Event::Progress {
            stage: self.stage,
            done,
        });
    }

    fn loading(&mut self, done: u64, total: u64) {
        self.listener.event(&Event::Loading {
            stage: self.stage,
            done,
            total,
        });
    }

    fn cancelled(&self) -> bool {
        self.listener.cancelled()
    }
}
