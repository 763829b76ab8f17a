//! The `kinora` command as a library: what its commands do, without the terminal.
//!
//! - [`executor`]: from the name of a device to something that runs graphs
//! - [`verify`]: the reference implementation's cases, run and judged
//! - [`inspect`]: what a file is and what would run it
//! - [`library`]: the model files on this machine, by name
//! - [`convert`]: files of weights in other types, or made up
//! - [`pull`]: downloads from a model hub
//! - [`memory`]: budgets of memory
//! - [`mod@bench`]: how fast a device is
//! - [`cli`]: the command line itself

pub mod bench;
mod cache;
mod channel;
pub mod cli;
mod commands;
pub mod convert;
pub mod executor;
pub mod inspect;
pub mod interrupt;
pub mod library;
pub mod memory;
mod meter;
mod profile;
pub mod pull;
pub mod render;
mod units;
pub mod verify;

pub use executor::{DeviceChoice, open_executor};
pub use memory::MemoryArgs;
