//! Before all stages: which kernels this device runs fastest.

use kinora_graph::{Control, Executor};

use super::{Event, Listener, Stage};
use crate::Result;

/// Times kernels for what `executor` has been asked to forecast, where that was never done on its device:
/// [`Executor::tune`]. The listener hears of the stage only where there is something to do.
///
/// # Errors
/// Where the listener stops it, or the device fails.
pub fn tune(executor: &mut dyn Executor, listener: &mut dyn Listener) -> Result<()> {
    let mut control = TuningControl {
        listener,
        started: false,
    };
    executor.tune(&mut control)?;
    if control.started {
        control.listener.event(&Event::Finished { stage: Stage::Tuning });
    }
    Ok(())
}

struct TuningControl<'a> {
    listener: &'a mut dyn Listener,
    started: bool,
}

impl Control for TuningControl<'_> {
    fn progress(&mut self, done: f64) {
        let stage = Stage::Tuning;
        if !self.started {
            self.started = true;
            self.listener.event(&Event::Started { stage, count: 1 });
        }
        self.listener.event(&Event::Progress { stage, done });
    }

    fn cancelled(&self) -> bool {
        self.listener.cancelled()
    }
}
