//! Errors of the samplers.

use super::schedule::MAX_STEPS;

/// `Result` with a [`SamplerError`].
pub type Result<T, E = SamplerError> = std::result::Result<T, E>;

/// Why a sampler could not be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum SamplerError {
    /// A name that the registry does not have.
    #[error("unknown {what} `{name}`: choose one of {known}")]
    UnknownName {
        /// What was looked up ("sampler", "preset", "scheduler").
        what: &'static str,
        /// The name as given.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A step count outside the legal range.
    #[error("{0} sampling steps: choose 1 to {MAX_STEPS}")]
    Steps(usize),
    /// A shift that is not a positive number.
    #[error("timestep shift {0}: choose a finite number above 0")]
    Shift(f64),
    /// A sigma grid that the solver cannot walk.
    #[error("sigma schedule: {0}")]
    Sigmas(String),
    /// A diffusers scheduler class that is not implemented.
    #[error("scheduler class `{class}` is not supported: supported are {known}")]
    Class {
        /// The class name as given.
        class: String,
        /// The classes that exist here.
        known: String,
    },
    /// A configuration value that changes the result and is not implemented.
    #[error("{class}: `{key}` = {value} is not supported ({why})")]
    Config {
        /// The scheduler class.
        class: &'static str,
        /// The configuration key.
        key: String,
        /// Its value, as JSON.
        value: String,
        /// What would be accepted.
        why: String,
    },
    /// A checkpointed state that does not fit.
    #[error("sampler state does not fit: {0}")]
    State(String),
}
