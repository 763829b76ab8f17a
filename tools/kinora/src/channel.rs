//! How the user is told of long work: a bar on a terminal, lines in a pipe, JSON for other programs.

use std::io::{IsTerminal, Write};

use indicatif::ProgressBar;
use serde_json::{Value, json};

pub(crate) enum Channel {
    /// On the terminal that standard error is.
    Bar(ProgressBar),
    /// On standard error.
    Lines,
    /// On standard output.
    Json,
}

impl Channel {
    /// The one for who listens, with a bar that is hidden yet.
    pub(crate) fn new(json: bool) -> Self {
        if json {
            Self::Json
        } else if std::io::stderr().is_terminal() {
            Self::Bar(ProgressBar::hidden())
        } else {
            Self::Lines
        }
    }

    /// A sentence for the user; standard error, so that output can be piped.
    pub(crate) fn say(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            Self::Lines => eprintln!("{text}"),
            Self::Json => emit(&json!({ "event": "note", "text": text })),
        }
    }
}

/// One JSON line on standard output. Who closes the pipe does not end the work.
pub(crate) fn emit(value: &Value) {
    let _ = writeln!(std::io::stdout().lock(), "{value}");
}
