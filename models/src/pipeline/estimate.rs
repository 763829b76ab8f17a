//! What a render will take, before any device is asked.

use kinora_graph::Requirements;

use super::{Settings, Stage};
use crate::Result;
use crate::text::umt5;
use crate::wan::transformer::{StepShape, TextKeys, step_graph};
use crate::wan::vae::{Chunk, decoder_graph};
use crate::wan::{Conditioning, Model};

/// Needs of each stage: text for the longest prompt, sampling per step (one expert on the device), decoding of the
/// whole clip.
pub fn estimate(model: &Model, settings: &Settings) -> Result<Vec<(Stage, Requirements)>> {
    let text = umt5::encoder_graph(&model.text_config, &*model.text_encoder, model.text_rows, false)?.footprint();
    let latent = settings.latent(model);
    let guided = settings.guidance.iter().any(|g| *g > 1.0);
    let shape = StepShape {
        latent,
        text_rows: model.text_rows,
        image_rows: 0,
        timesteps: if model.conditioning == Conditioning::FirstFrame {
            2
        } else {
            1
        },
        branches: ["positive", "negative"][..1 + usize::from(guided)]
            .iter()
            .map(|b| (*b).to_owned())
            .collect(),
        expert: "high".into(),
        text_keys: TextKeys::default(),
    };
    let step = step_graph(&model.high.config, &*model.high.weights, &shape)?.footprint();
    let [count, h, w] = latent;
    let mut decoding = decoder_graph(&model.vae_config, &*model.vae, [h, w], Chunk::Later)?.footprint();
    decoding.flops *= count as u64;
    Ok(vec![
        (Stage::Text, text),
        (Stage::Sampling, step),
        (Stage::Decoding, decoding),
    ])
}
