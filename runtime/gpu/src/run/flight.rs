//! Submissions under way: at most two, each short, watched and stoppable.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kinora_graph::{Control, Error, Result};

use crate::device::Device;

/// Submissions that may be under way at once: one runs while the next is encoded.
const IN_FLIGHT: usize = 2;

/// How long the device's work takes, measured against the estimates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace(f64);

impl Default for Pace {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Pace {
    /// Seconds that work estimated at `seconds` really takes.
    pub(super) fn correct(self, seconds: f64) -> f64 {
        seconds * self.0
    }

    fn learn(&mut self, estimated: f64, measured: f64) {
        // Shorter ones measure the way there and back.
        if measured > 5e-3 && estimated > 0.0 {
            let ratio = (measured / estimated).clamp(1e-3, 10.0);
            self.0 += 0.2 * (ratio - self.0);
        }
    }
}

struct Submitted {
    index: wgpu::SubmissionIndex,
    estimated: f64,
    // Copies of weights lie before it, so that its time says nothing about the estimate.
    after_copies: bool,
    at: Instant,
}

/// A run's submissions.
pub(super) struct Flight<'a> {
    device: &'a Device,
    control: &'a mut dyn Control,
    pace: &'a mut Pace,
    total: f64,
    done: f64,
    ended: Instant,
    under_way: VecDeque<Submitted>,
    after_copies: bool,
    /// Wall time of each submission that is over.
    pub(super) times: Vec<Duration>,
    /// What encoding and submitting took.
    pub(super) host: Duration,
}

impl<'a> Flight<'a> {
    /// `total` estimated seconds of work lie ahead.
    pub(super) fn new(device: &'a Device, control: &'a mut dyn Control, pace: &'a mut Pace, total: f64) -> Self {
        Self {
            device,
            control,
            pace,
            total,
            done: 0.0,
            ended: Instant::now(),
            under_way: VecDeque::new(),
            after_copies: false,
            times: Vec::new(),
            host: Duration::ZERO,
        }
    }

    pub(super) fn pace(&self) -> Pace {
        *self.pace
    }

    /// Submits work of `estimated` seconds, which the processor has `begun` to encode, once there is room for it.
    pub(super) fn submit(&mut self, commands: wgpu::CommandBuffer, estimated: f64, begun: Instant) -> Result<()> {
        self.host += begun.elapsed();
        while self.under_way.len() >= IN_FLIGHT {
            self.settle()?;
        }
        self.stop_if_asked()?;
        let begun = Instant::now();
        let index = self.device.queue().submit([commands]);
        self.host += begun.elapsed();
        self.device.check()?;
        self.under_way.push_back(Submitted {
            index,
            estimated,
            after_copies: std::mem::take(&mut self.after_copies),
            at: Instant::now(),
        });
        Ok(())
    }

    /// Weights have been copied: `done` bytes of `total`.
    pub(super) fn copied(&mut self, done: u64, total: u64) -> Result<()> {
        self.after_copies = true;
        self.control.loading(done, total);
        self.stop_if_asked()
    }

    /// Waits for all.
    pub(super) fn finish(&mut self) -> Result<()> {
        while !self.under_way.is_empty() {
            self.settle()?;
        }
        self.control.progress(1.0);
        Ok(())
    }

    /// Waits for the oldest.
    fn settle(&mut self) -> Result<()> {
        let Some(oldest) = self.under_way.pop_front() else {
            return Ok(());
        };
        self.device.wait(Some(oldest.index))?;
        let now = Instant::now();
        let time = now - oldest.at.max(self.ended);
        self.ended = now;
        self.times.push(time);
        if !oldest.after_copies {
            self.pace.learn(oldest.estimated, time.as_secs_f64());
        }
        self.done += oldest.estimated;
        if self.total > 0.0 {
            self.control.progress((self.done / self.total).min(1.0));
        }
        Ok(())
    }

    fn stop_if_asked(&mut self) -> Result<()> {
        if !self.control.cancelled() {
            return Ok(());
        }
        // Nothing may be under way when the buffers are used again.
        self.under_way.clear();
        self.device.wait(None)?;
        Err(Error::Cancelled)
    }
}
