//! Video diffusion models as Kinora graphs: transformers, autoencoders, text encoders, samplers.
//!
//! A model file reads like the paper: it builds a [`kinora_graph::Graph`] and knows no device. The stages of
//! [`pipeline`] (text, sampling, decoding) run those graphs on any [`kinora_graph::Executor`].

pub mod error;
pub mod lora;
pub mod noise;
pub mod pipeline;
pub mod sampler;
pub mod text;
pub mod wan;

pub use error::Error;

/// Result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
