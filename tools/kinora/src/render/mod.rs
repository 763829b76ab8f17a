//! `kinora render`: from a prompt to a file. `kinora plan`: what that would take.

mod args;
mod model;
mod outlook;
mod output;
mod progress;
mod run;
mod settings;
mod text_cache;

pub use args::RenderArgs;
pub use outlook::PlanArgs;
pub(crate) use outlook::run as plan;
pub(crate) use run::run;
