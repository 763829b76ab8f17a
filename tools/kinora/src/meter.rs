//! Progress of long copying work: a bar on a terminal, lines in a pipe, JSON for other programs.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::channel::{Channel, emit};
use crate::units::bytes;

/// Time between two lines in a pipe.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Time between two events for programs.
const EVENT_EVERY: Duration = Duration::from_millis(500);

/// Shows how far a run over so many bytes is, how fast, and how long it will take.
pub(crate) struct Meter {
    channel: Channel,
    /// What is worked on.
    name: String,
    total: Option<u64>,
    done: u64,
    /// When it began, and with how much done already.
    begun: (Instant, u64),
    told: Instant,
}

impl Meter {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            channel: Channel::new(json),
            name: String::new(),
            total: None,
            done: 0,
            begun: (Instant::now(), 0),
            told: Instant::now(),
        }
    }

    /// Begins on `name`, of which `done` of `total` bytes are there.
    pub(crate) fn begin(&mut self, name: &str, total: Option<u64>, done: u64) {
        self.end();
        (self.name, self.total, self.done) = (name.to_owned(), total, done);
        (self.begun, self.told) = ((Instant::now(), done), Instant::now());
        if let Channel::Bar(bar) = &mut self.channel {
            *bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let template =
                "{prefix} [{bar:32}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} (left {eta})";
            let style = ProgressStyle::with_template(template).expect("the template is well-formed");
            bar.set_style(style.progress_chars("=> "));
            bar.set_prefix(name.to_owned());
            bar.set_position(done);
            bar.reset_eta();
        }
    }

    /// So many bytes are done.
    pub(crate) fn set(&mut self, done: u64) {
        self.done = done;
        let since = self.told.elapsed();
        match &self.channel {
            Channel::Bar(bar) => bar.set_position(done),
            Channel::Lines if since >= LINE_EVERY => eprintln!("{}: {}", self.name, self.line()),
            Channel::Json if since >= EVENT_EVERY => self.emit("progress"),
            Channel::Lines | Channel::Json => return,
        }
        self.told = Instant::now();
    }

    /// So many bytes more are done.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.set(self.done + bytes);
    }

    /// A sentence for the user; standard error, so that output can be piped.
    pub(crate) fn say(&self, text: &str) {
        self.channel.say(text);
    }

    /// The current work is finished, or given up.
    pub(crate) fn end(&mut self) {
        if self.name.is_empty() {
            return;
        }
        match &self.channel {
            Channel::Bar(bar) => bar.finish_and_clear(),
            Channel::Lines => {}
            Channel::Json => self.emit("finished"),
        }
        self.name.clear();
    }

    /// `3.1 of 10 GB, 95 MB/s, about 73 s left`.
    fn line(&self) -> String {
        let (begun, before) = self.begun;
        let rate = self.done.saturating_sub(before) as f64 / begun.elapsed().as_secs_f64().max(1e-3);
        let per_second = format!("{}/s", bytes(rate as u64));
        match self.total {
            Some(total) if rate > 0.0 => {
                let left = total.saturating_sub(self.done) as f64 / rate;
                format!(
                    "{} of {}, {per_second}, about {left:.0} s left",
                    bytes(self.done),
                    bytes(total)
                )
            }
            _ => format!("{}, {per_second}", bytes(self.done)),
        }
    }

    fn emit(&self, event: &str) {
        let seconds = self.begun.0.elapsed().as_secs_f64();
        emit(&json!({
            "event": event, "name": self.name, "bytes": self.done, "total": self.total, "seconds": seconds,
        }));
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Channel::Bar(bar) = &self.channel {
            bar.finish_and_clear();
        }
    }
}
