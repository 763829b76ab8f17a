//! `UMT5EncoderModel`, one text of the batch at a time.

use kinora_graph::HostTensor;
use kinora_models::text::umt5::{Umt5Config, embed, encoder_graph};
use kinora_models::wan::names::Part;
use serde_json::json;

use super::{Case, Result, case::Tensors, session::Session};

/// Added to the scores of padding: far below every score, and far from the end of the range.
const PADDING: f32 = -1e30;

pub(crate) fn compute(case: &Case, session: &mut Session<'_>) -> Result<Tensors> {
    case.require("feed_forward_proj", &[json!("gated-gelu")])?;
    let config: Umt5Config = case.config()?;
    config
        .check()
        .map_err(|why| case.malformed("case.json", format!("`config`: {why}")))?;
    let weights = case.weights(Part::TextEncoder)?;
    let ([batch, length], ids) = case.ids("input_ids")?;
    let mask = match case.optional("attention_mask") {
        Some(_) => Some(case.ids::<2>("attention_mask")?),
        None => None,
    };
    if let Some((shape, _)) = mask
        && shape != [batch, length]
    {
        return Err(case.wrong(
            "attention_mask",
            format!("shape {shape:?}; `input_ids` has {:?}", [batch, length]),
        ));
    }
    let program = session.compile(encoder_graph(&config, &*weights, length, mask.is_some())?, &weights)?;
    let buckets = HostTensor::u32(&[2 * length - 1], config.buckets(length));
    let mut hidden = Vec::new();
    for (element, ids) in ids.chunks_exact(length).enumerate() {
        let embeddings = HostTensor::f32(&[length, config.d_model], embed(&*weights, &config, ids)?);
        let mask = mask.map(|(_, mask)| {
            let mask = &mask[element * length..(element + 1) * length];
            HostTensor::f32(
                &[length],
                mask.iter().map(|seen| if *seen == 0 { PADDING } else { 0.0 }).collect(),
            )
        });
        let mut inputs = vec![("embeddings", &embeddings), ("buckets", &buckets)];
        inputs.extend(mask.as_ref().map(|mask| ("mask", mask)));
        let mut outputs = session.run(program, &inputs)?;
        hidden.extend(
            outputs
                .remove("hidden")
                .expect("every output of a graph comes back")
                .into_f32()?,
        );
    }
    let hidden = HostTensor::f32(&[batch, length, config.d_model], hidden);
    Ok(Tensors::from([("last_hidden_state".to_owned(), hidden)]))
}
