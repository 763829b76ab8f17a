//! Downloads from a model hub: resumable, checked, and under their name only when they are whole.
//!
//! - `hub`: which URL a file has and who gets the token
//! - `download`: one file, over as many connections as it takes
//! - `part`: the unfinished file and its running hash

mod download;
mod error;
mod hub;
mod part;
#[cfg(test)]
mod tests;

pub use download::{Downloader, Patience, Progress};
pub use error::Error;
pub use hub::{Hub, HubFile};
