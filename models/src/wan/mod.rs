//! The Wan family: Wan 2.1 (1.3B, 14B, image-to-video 14B) and Wan 2.2 (T2V-A14B, I2V-A14B, TI2V-5B).
//!
//! Architecture and names follow the official code (Wan-Video/Wan2.2, `wan/modules`) and its diffusers
//! twin; the canonical tensor names are diffusers'.

pub mod config;
pub mod files;
mod limits;
pub mod manifest;
pub mod names;
pub mod open;
pub mod rope;
pub mod storage;
pub mod transformer;
pub mod vae;
pub mod variant;

pub use config::{TransformerConfig, VaeConfig};
pub use open::{Expert, Model, Source};
pub use variant::{Conditioning, Defaults, Variant};
