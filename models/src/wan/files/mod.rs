//! The files that a variant consists of: what people's files are called, and where they are published.
//!
//! A name says less than the tensors do, but it can be read without opening forty gigabytes; what a chosen file
//! really is, is checked when it is opened.

mod published;
mod words;

pub use published::{Published, published};
pub use words::{Name, recognise};

use serde::Serialize;

use super::Variant;

/// The place of a file in a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The only transformer.
    Transformer,
    /// The expert for high noise.
    High,
    /// The expert for low noise.
    Low,
    /// The text encoder.
    TextEncoder,
    /// The autoencoder.
    Vae,
}

impl Role {
    /// The roles that have to be filled for `variant`.
    pub fn of(variant: Variant) -> &'static [Self] {
        if variant.boundary().is_some() {
            &[Self::High, Self::Low, Self::TextEncoder, Self::Vae]
        } else {
            &[Self::Transformer, Self::TextEncoder, Self::Vae]
        }
    }

    /// Whether it is a transformer, the part that the type in `variant:type` is about.
    pub fn is_transformer(self) -> bool {
        matches!(self, Self::Transformer | Self::High | Self::Low)
    }

    /// Its folder in ComfyUI's `models`.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Transformer | Self::High | Self::Low => "diffusion_models",
            Self::TextEncoder => "text_encoders",
            Self::Vae => "vae",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Transformer => "transformer",
            Self::High => "high-noise expert",
            Self::Low => "low-noise expert",
            Self::TextEncoder => "text encoder",
            Self::Vae => "autoencoder",
        })
    }
}

/// Whether files named after `found` ("q4_k_m") are of the type that `wanted` ("q4_k", "Q4_K_M") means: the same, or
/// a finer description of it.
pub fn type_matches(wanted: &str, found: &str) -> bool {
    let wanted = wanted.to_lowercase().replace('-', "_");
    let rest = found.strip_prefix(wanted.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}
