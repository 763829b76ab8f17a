//! Writes files of weights: other types of existing ones, and full-size ones with made-up numbers.
//!
//! - `target`: which type each tensor gets
//! - `output`: the file that is being written
//! - `quantize`: tensor by tensor, a few rows at a time
//! - `made_up`: numbers from nothing
//! - `synth`: files of them

mod error;
mod made_up;
mod output;
mod quantize;
mod synth;
mod target;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use made_up::MadeUp;
pub use quantize::{Line, Quantize, Totals, quantize};
pub use synth::{Synth, stored, synth};
pub use target::{Container, Target};
