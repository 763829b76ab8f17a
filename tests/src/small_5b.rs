//! Wan 2.2 TI2V-5B at its true widths with generated weights: what a machine without the real files can run.

use std::sync::Arc;

use kinora_models::text::tokenizer::Tokenizer;
use kinora_models::text::umt5::Umt5Config;
use kinora_models::wan::{Conditioning, Expert, Model, TransformerConfig, VaeConfig, Variant};

use crate::{Entry, generated, manifest, root};

/// The model with `layers` blocks in the transformer and in the text encoder, the true autoencoder, and a small
/// tokenizer (the ids of a real one mean nothing to generated weights).
///
/// # Errors
/// Those of the tokenizer's file and of reading shapes off the tensors.
pub fn model(layers: usize) -> kinora_models::Result<Model> {
    let keep = |entry: &Entry, prefix: &str| {
        let layer = entry
            .name
            .strip_prefix(prefix)
            .and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
        entry.note.is_none() && layer.is_none_or(|layer| layer < layers)
    };
    let part = |variant: &str, prefix: &str, seed| {
        let entries: Vec<Entry> = manifest(variant, "diffusers")
            .into_iter()
            .filter(|e| keep(e, prefix))
            .collect();
        generated(&entries, seed)
    };
    let transformer = part("wan2.2-ti2v-5b", "blocks.", 1);
    let vae = part("wan2.2-vae", "\0", 2);
    let text_encoder = part("umt5-xxl", "encoder.block.", 3);
    Ok(Model {
        variant: Some(Variant::Wan22Ti2v5b),
        high: Expert {
            config: TransformerConfig::detect(&transformer)?,
            weights: Arc::new(transformer),
        },
        low: None,
        boundary: None,
        conditioning: Conditioning::FirstFrame,
        vae_config: VaeConfig::detect(&vae)?,
        vae: Arc::new(vae),
        text_config: Umt5Config::detect(&text_encoder)?,
        text_encoder: Arc::new(text_encoder),
        tokenizer: Tokenizer::from_file(root().join("fixtures/tokenizer"))?,
        text_rows: 512,
        own_defaults: None,
        title: None,
        origin: "generated weights".into(),
        files: Vec::new(),
    })
}
