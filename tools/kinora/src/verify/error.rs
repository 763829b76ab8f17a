//! Why a case could not be run.

use std::path::PathBuf;

/// Why a case has no outputs to compare.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// The case asks for something that this version does not run. Never a pass.
    #[error("{0}")]
    Unsupported(String),
    /// A file of the case breaks its format.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which rule it breaks.
        why: String,
    },
    /// A file of the case cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The model refused its configuration, its weights or an input.
    #[error(transparent)]
    Model(kinora_models::Error),
}

/// A sampler's class or setting that does not exist here, and a file format that is not read, are no failures of
/// what does exist.
impl From<kinora_models::Error> for CaseError {
    fn from(error: kinora_models::Error) -> Self {
        use kinora_models::{Error, sampler::SamplerError};
        match error {
            Error::Sampler(error @ (SamplerError::Class { .. } | SamplerError::Config { .. })) => {
                Self::Unsupported(error.to_string())
            }
            Error::Weights(error @ kinora_quant::Error::UnsupportedType { .. }) => Self::Unsupported(error.to_string()),
            error => Self::Model(error),
        }
    }
}

impl From<kinora_graph::Error> for CaseError {
    fn from(error: kinora_graph::Error) -> Self {
        match error {
            kinora_graph::Error::Weights(error) => error.into(),
            error => Self::Model(error.into()),
        }
    }
}

impl From<kinora_quant::Error> for CaseError {
    fn from(error: kinora_quant::Error) -> Self {
        kinora_models::Error::from(error).into()
    }
}

impl From<kinora_models::sampler::SamplerError> for CaseError {
    fn from(error: kinora_models::sampler::SamplerError) -> Self {
        kinora_models::Error::from(error).into()
    }
}
