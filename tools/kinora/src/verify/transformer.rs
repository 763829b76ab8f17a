//! `WanTransformer3DModel`: one forward pass per element of the batch.

use kinora_graph::HostTensor;
use kinora_models::wan::TransformerConfig;
use kinora_models::wan::names::Part;
use kinora_models::wan::rope::timestep_embedding;
use kinora_models::wan::transformer::{StepShape, TextKeys, step_graph, text_graph};
use serde_json::{Value, json};

use super::{Case, Result, case::Tensors, session::Session};

pub(crate) fn compute(case: &Case, session: &mut Session<'_>) -> Result<Tensors> {
    case.require("qk_norm", &[json!("rms_norm_across_heads")])?;
    case.require("attention_kwargs", &[Value::Null])?;
    let config: TransformerConfig = case.config()?;
    config
        .check()
        .map_err(|why| case.malformed("case.json", format!("`config`: {why}")))?;
    let weights = case.weights(Part::Transformer)?;

    let ([batch, channels, f, h, w], latents) = case.floats("hidden_states")?;
    let ([text_batch, text_rows, text_dim], text) = case.floats("encoder_hidden_states")?;
    let image = match case.optional("encoder_hidden_states_image") {
        Some(_) => Some(case.floats::<3>("encoder_hidden_states_image")?),
        None => None,
    };
    let latent = [f, h, w];
    if latent
        .iter()
        .zip(config.patch_size)
        .any(|(size, patch)| size % patch != 0)
    {
        return Err(case.wrong(
            "hidden_states",
            format!("{latent:?} does not fall into patches of {:?}", config.patch_size),
        ));
    }
    let times = Times::read(case, batch, config.tokens(latent))?;
    for (name, found) in [
        ("encoder_hidden_states", text_batch),
        ("encoder_hidden_states_image", image.map_or(batch, |i| i.0[0])),
    ] {
        if found != batch {
            return Err(case.wrong(
                name,
                format!("a batch of {found}, but `hidden_states` has one of {batch}"),
            ));
        }
    }

    let mut velocities = Vec::new();
    for element in 0..batch {
        let (distinct, rows) = times.element(element);
        let shape = StepShape {
            latent,
            text_rows,
            image_rows: image.map_or(0, |(shape, _)| shape[1]),
            timesteps: distinct.len(),
            prompted: false,
            branches: vec!["case".into()],
            expert: "case".into(),
            text_keys: TextKeys::States,
            scores: case.scores,
        };
        let text = HostTensor::f32(&[text_rows, text_dim], part(text, batch, element));
        let image = image.map(|([_, rows, dim], data)| HostTensor::f32(&[rows, dim], part(data, batch, element)));
        let mut inputs = vec![("text", &text)];
        inputs.extend(image.as_ref().map(|image| ("image", image)));
        session.once(text_graph(&config, &*weights, &shape, "case")?, &weights, &inputs)?;

        let latent = HostTensor::f32(&[channels, f, h, w], part(latents, batch, element));
        let time = HostTensor::f32(
            &[distinct.len(), config.freq_dim],
            timestep_embedding(&distinct, config.freq_dim),
        );
        let rows = HostTensor::u32(&[rows.len()], rows);
        let mut inputs = vec![("latent", &latent), ("time", &time)];
        if distinct.len() > 1 {
            inputs.push(("rows", &rows));
        }
        let mut outputs = session.once(step_graph(&config, &*weights, &shape)?, &weights, &inputs)?;
        let velocity = outputs.remove("velocity").expect("every output of a graph comes back");
        velocities.extend(velocity.into_f32()?);
    }
    let sample = HostTensor::f32(&[batch, config.out_channels, f, h, w], velocities);
    Ok(Tensors::from([("sample".to_owned(), sample)]))
}

/// One element of a batch.
fn part(data: &[f32], batch: usize, element: usize) -> Vec<f32> {
    let length = data.len() / batch;
    data[element * length..(element + 1) * length].to_vec()
}

/// The timesteps of a batch: one per element, or one per token of each.
struct Times<'a> {
    per_element: usize,
    values: &'a [f32],
}

impl<'a> Times<'a> {
    fn read(case: &'a Case, batch: usize, tokens: usize) -> Result<Self> {
        let tensor = case.input("timestep")?;
        let values = tensor.as_f32().map_err(|e| case.wrong("timestep", e))?;
        let per_element = match *tensor.shape.as_slice() {
            [b] if b == batch => 1,
            [b, n] if b == batch && n == tokens => n,
            _ => {
                let why = format!("shape {:?}; it must be [{batch}] or [{batch}, {tokens}]", tensor.shape);
                return Err(case.wrong("timestep", why));
            }
        };
        Ok(Self { per_element, values })
    }

    /// The distinct timesteps of one element in the order in which they come, and each token's place among them.
    fn element(&self, element: usize) -> (Vec<f32>, Vec<u32>) {
        let mut distinct: Vec<f32> = Vec::new();
        let rows = self.values[element * self.per_element..][..self.per_element]
            .iter()
            .map(|time| {
                let known = distinct.iter().position(|d| d.to_bits() == time.to_bits());
                known.unwrap_or_else(|| {
                    distinct.push(*time);
                    distinct.len() - 1
                }) as u32
            });
        let rows = rows.collect();
        (distinct, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::Times;

    #[test]
    fn tokens_of_one_time_share_a_row() {
        let times = Times {
            per_element: 4,
            values: &[0.0, 0.0, 0.0, 0.0, 7.0, 0.0, 7.0, 3.0],
        };
        assert_eq!(times.element(0), (vec![0.0], vec![0, 0, 0, 0]));
        assert_eq!(times.element(1), (vec![7.0, 0.0, 3.0], vec![0, 1, 0, 2]));
    }
}
