//! Ctrl-C: the first one asks the running command to stop in an orderly way, the second one ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

use kinora_graph::Control;

/// Exit status of a command that Ctrl-C ended.
pub const STATUS: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Installs the handler. Where that fails, Ctrl-C keeps its usual meaning.
pub fn install() {
    let handler = || {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(STATUS.into());
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::warn!("Ctrl-C will end the program at once: {error}");
    }
}

/// Whether Ctrl-C was pressed.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Stops a run on Ctrl-C and watches nothing else.
pub struct Interruptible;

impl Control for Interruptible {
    fn cancelled(&self) -> bool {
        requested()
    }
}
