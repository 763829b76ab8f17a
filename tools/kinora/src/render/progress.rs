//! Who listens to a render: bars on a terminal, lines in a pipe, JSON for other programs.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use kinora_models::pipeline::{Event, Listener, Stage};
use serde_json::json;

use crate::channel::{Channel, emit};
use crate::{interrupt, units};

/// Tells the user what happens.
pub(super) struct Reporter {
    channel: Channel,
    stage_started: Instant,
}

impl Reporter {
    pub(super) fn new(json: bool) -> Self {
        Self {
            channel: Channel::new(json),
            stage_started: Instant::now(),
        }
    }

    /// A sentence for the user; standard error, so that output can be piped.
    pub(super) fn say(&mut self, text: &str) {
        self.channel.say(text);
    }

    /// An event of our own.
    pub(super) fn tell(&mut self, event: &serde_json::Value, text: &str) {
        match self.channel {
            Channel::Json => emit(event),
            _ => self.say(text),
        }
    }

    fn bar(&mut self, event: &Event) {
        let Channel::Bar(bar) = &mut self.channel else { return };
        match event {
            Event::Started { stage, .. } => {
                *bar = ProgressBar::new(SCALE);
                let style = ProgressStyle::with_template("{prefix:>9} [{bar:32}] {msg} {elapsed} (left {eta})");
                bar.set_style(style.expect("the template is well-formed").progress_chars("=> "));
                bar.set_prefix(stage.to_string());
                bar.enable_steady_tick(Duration::from_millis(500));
                if *stage == Stage::Tuning {
                    bar.set_message(TUNING);
                }
            }
            Event::Progress { done, .. } => bar.set_position((done * SCALE as f64) as u64),
            Event::Step { done, count, skipped } => {
                bar.set_message(format!(
                    "step {done}/{count}{}",
                    if *skipped { " (skipped)" } else { "" }
                ));
            }
            Event::Finished { .. } => bar.finish(),
            Event::Warning(text) => bar.suspend(|| eprintln!("warning: {text}")),
            Event::Loading { done, total, .. } if done < total => {
                bar.set_message(format!("loading {} of {}", units::memory(*done), units::memory(*total)));
            }
            Event::Loading { .. } => bar.set_message(""),
            Event::Planned { .. } => {}
        }
    }

    fn line(&mut self, event: &Event) {
        let seconds = self.stage_started.elapsed().as_secs_f64();
        match event {
            Event::Step { done, count, skipped } => {
                let left = seconds / *done as f64 * (count - done) as f64;
                let skipped = if *skipped { " skipped" } else { "" };
                eprintln!("sampling: step {done}/{count}{skipped}, {seconds:.1} s, about {left:.0} s left");
            }
            Event::Finished { stage: Stage::Sampling } => {}
            Event::Finished { stage } => eprintln!("{stage}: done in {seconds:.1} s"),
            Event::Warning(text) => eprintln!("warning: {text}"),
            Event::Started {
                stage: Stage::Tuning, ..
            } => eprintln!("tuning: {TUNING}"),
            Event::Started { .. } | Event::Planned { .. } | Event::Loading { .. } | Event::Progress { .. } => {}
        }
    }

    fn json(&self, event: &Event) {
        let seconds = self.stage_started.elapsed().as_secs_f64();
        emit(&match event {
            Event::Started { stage, count } => json!({ "event": "started", "stage": stage, "count": count }),
            Event::Planned { stage, needs } => json!({
                "event": "planned", "stage": stage, "weight_bytes": needs.weights, "activation_bytes": needs.activations,
                "state_bytes": needs.states, "device_bytes": needs.device_bytes(), "streamed_bytes": needs.streamed,
                "flops": needs.flops,
            }),
            Event::Loading { stage, done, total } => {
                json!({ "event": "loading", "stage": stage, "done_bytes": done, "total_bytes": total })
            }
            Event::Progress { stage, done } => {
                json!({ "event": "progress", "stage": stage, "done": done, "seconds": seconds })
            }
            Event::Step { done, count, skipped } => {
                json!({ "event": "step", "done": done, "count": count, "skipped": skipped, "seconds": seconds })
            }
            Event::Finished { stage } => json!({ "event": "finished", "stage": stage, "seconds": seconds }),
            Event::Warning(text) => json!({ "event": "warning", "text": text }),
        });
    }
}

/// What the stage is for.
const TUNING: &str = "kernels for this device, once";

/// Positions of a bar.
const SCALE: u64 = 10_000;

impl Listener for Reporter {
    fn event(&mut self, event: &Event) {
        if let Event::Started { .. } = event {
            self.stage_started = Instant::now();
        }
        match self.channel {
            Channel::Bar(_) => self.bar(event),
            Channel::Lines => self.line(event),
            Channel::Json => self.json(event),
        }
    }

    fn cancelled(&self) -> bool {
        interrupt::requested()
    }
}
