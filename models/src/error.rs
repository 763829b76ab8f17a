//! What can be wrong with a model, a setting or a prompt.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or lacks a tensor.
    #[error(transparent)]
    Weights(#[from] kinora_quant::Error),
    /// A graph cannot be built or run.
    #[error(transparent)]
    Graph(#[from] kinora_graph::Error),
    /// A configuration file or the tensors of a checkpoint do not make sense.
    #[error("{origin}: {why}")]
    Config {
        /// File or folder.
        origin: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// A render needs more memory than there is or may be used.
    #[error("{what}: {:.2} GiB needed, {:.2} GiB allowed; {nearest}", gib(*needed), gib(*available))]
    DoesNotFit {
        /// What needs it.
        what: String,
        /// Bytes.
        needed: u64,
        /// Bytes.
        available: u64,
        /// The nearest settings that fit, or what else to do.
        nearest: String,
    },
    /// A setting cannot be used.
    #[error("{setting}: {why}")]
    Setting {
        /// Name of the setting, as on the command line.
        setting: &'static str,
        /// What is wrong and what would work.
        why: String,
    },
    /// A tokenizer cannot be read.
    #[error(transparent)]
    Tokenizer(#[from] crate::text::tokenizer::TokenizerError),
    /// A sampler cannot be made or restored.
    #[error(transparent)]
    Sampler(#[from] crate::sampler::SamplerError),
    /// A stage's output is not a picture of anything.
    #[error("{stage}: the result {why}; {remedy}")]
    Unusable {
        /// Stage.
        stage: &'static str,
        /// NaN, infinite, flat.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// Whoever takes the frames cannot.
    #[error(transparent)]
    Output(Box<dyn std::error::Error + Send + Sync>),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

impl Error {
    /// An [`Error::Io`] of `path`.
    pub fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::Io { path, source }
    }
}
