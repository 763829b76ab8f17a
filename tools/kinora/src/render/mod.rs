//! `kinora render`: from a prompt to a file.

mod args;
mod model;
mod output;
mod progress;
mod run;
mod settings;

pub use args::RenderArgs;
pub(crate) use run::run;
