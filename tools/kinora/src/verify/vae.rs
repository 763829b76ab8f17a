//! `AutoencoderKLWan`, chunk by chunk as in a render.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinora_graph::{Graph, HostTensor, ProgramId};
use kinora_models::pipeline::Decoder;
use kinora_models::wan::VaeConfig;
use kinora_models::wan::names::Part;
use kinora_models::wan::vae::{Chunk, Tiling, encoder_graph};
use kinora_quant::Weights;
use serde_json::json;

use super::{Case, Result, case::Tensors, pipeline::Watch, session::Session};

/// Latents to frames, in tiles where the case names their sizes.
pub(crate) fn decode(case: &Case, session: &mut Session<'_>) -> Result<Tensors> {
    let (config, weights) = open(case)?;
    let decoder = Decoder::new(&config, &weights, tiling(case, &config)?);
    let ([batch, _, frames, h, w], latents) = case.floats("z")?;
    let size = [h, w].map(|n| n * config.spatial_factor());
    let (executor, control) = session.parts();
    let mut clips = Clips::default();
    for latent in latents.chunks_exact(latents.len() / batch) {
        decoder.run(
            executor,
            latent,
            [frames, h, w],
            &mut Watch(control),
            &mut |mut frame| {
                frame.iter_mut().for_each(|v| *v = v.clamp(-1.0, 1.0));
                clips.push(&[size[0], size[1], config.pixel_channels()], frame);
                Ok(())
            },
        )?;
    }
    Ok(Tensors::from([("sample".to_owned(), clips.finish(batch))]))
}

/// The arguments of `enable_tiling`, which are pixels.
fn tiling(case: &Case, config: &VaeConfig) -> Result<Option<Tiling>> {
    if case.description.count("tile_sample_min_height").is_none() {
        return Ok(None);
    }
    let factor = config.spatial_factor();
    let latents = |name: &str| match case.description.count(name) {
        Some(pixels) if pixels.is_multiple_of(factor) => Ok(pixels / factor),
        other => Err(case.malformed(
            "case.json",
            format!("`{name}` is {other:?}; it must be a multiple of {factor} pixels"),
        )),
    };
    let tile = [latents("tile_sample_min_height")?, latents("tile_sample_min_width")?];
    let stride = [
        latents("tile_sample_stride_height")?,
        latents("tile_sample_stride_width")?,
    ];
    let tiling = Tiling::new(tile, stride).map_err(|why| case.malformed("case.json", why))?;
    Ok(Some(tiling))
}

/// Frames to the mean of their posterior. The reference's `moments` hold the variance too, which nothing uses and
/// nothing here computes.
pub(crate) fn encode(case: &Case, session: &mut Session<'_>) -> Result<Tensors> {
    let (config, weights) = open(case)?;
    let ([batch, c, frames, h, w], clips_in) = case.floats("sample")?;
    let mut programs = Programs::new(&weights, |chunk| encoder_graph(&config, &*weights, [h, w], chunk));
    let mut clips = Clips::default();
    for clip in clips_in.chunks_exact(clips_in.len() / batch) {
        session.clear_states();
        let mut first = 0;
        // Frames beyond the last whole chunk are dropped, as the reference does without a word.
        for chunk in 0..config.latent_frames(frames) {
            let length = if chunk == 0 { 1 } else { config.temporal_factor() };
            let input = HostTensor::f32(
                &[length, h, w, c],
                channels_last(clip, [c, frames, h, w], first, length),
            );
            let latent = programs.run(session, chunk, ("frames", &input), "latent")?;
            let frame = latent.shape[1..].to_vec();
            clips.push(&frame, latent.into_f32()?);
            first += length;
        }
    }
    Ok(Tensors::from([("mean".to_owned(), clips.finish(batch))]))
}

fn open(case: &Case) -> Result<(VaeConfig, Arc<dyn Weights>)> {
    case.require("attn_scales", &[json!([])])?;
    let config: VaeConfig = case.config()?;
    config
        .check()
        .map_err(|why| case.malformed("case.json", format!("`config`: {why}")))?;
    Ok((config, case.weights(Part::Vae)?))
}

/// One program for each kind of chunk, compiled when it is first needed.
struct Programs<'w, F> {
    weights: &'w Arc<dyn Weights>,
    build: F,
    compiled: BTreeMap<Chunk, ProgramId>,
}

impl<'w, F: Fn(Chunk) -> kinora_graph::Result<Graph>> Programs<'w, F> {
    fn new(weights: &'w Arc<dyn Weights>, build: F) -> Self {
        Self {
            weights,
            build,
            compiled: BTreeMap::new(),
        }
    }

    fn run(
        &mut self,
        session: &mut Session<'_>,
        index: usize,
        input: (&str, &HostTensor),
        output: &str,
    ) -> Result<HostTensor> {
        let chunk = Chunk::at(index);
        let program = match self.compiled.get(&chunk) {
            Some(program) => *program,
            None => session.compile((self.build)(chunk)?, self.weights)?,
        };
        self.compiled.insert(chunk, program);
        let mut outputs = session.run(program, &[input])?;
        Ok(outputs.remove(output).expect("every output of a graph comes back"))
    }
}

/// Frames of a batch of clips of equal length, channels last.
#[derive(Default)]
struct Clips {
    frames: usize,
    frame: Vec<usize>,
    values: Vec<f32>,
}

impl Clips {
    /// One more frame of shape `[h, w, c]`.
    fn push(&mut self, shape: &[usize], values: Vec<f32>) {
        self.frames += 1;
        self.frame = shape.to_vec();
        self.values.extend(values);
    }

    /// `[B, C, T, H, W]`
    fn finish(self, batch: usize) -> HostTensor {
        let &[h, w, c] = self.frame.as_slice() else {
            unreachable!("feature maps have four dimensions")
        };
        let t = self.frames / batch;
        let mut out = vec![0.0; self.values.len()];
        for (index, pixel) in self.values.chunks_exact(c).enumerate() {
            let (clip, inside) = (index / (t * h * w), index % (t * h * w));
            for (channel, value) in pixel.iter().enumerate() {
                out[(clip * c + channel) * t * h * w + inside] = *value;
            }
        }
        HostTensor::f32(&[batch, c, t, h, w], out)
    }
}

/// `length` frames from `first` on, out of `[C, T, H, W]`, as `[length, H, W, C]`.
fn channels_last(clip: &[f32], [c, t, h, w]: [usize; 4], first: usize, length: usize) -> Vec<f32> {
    let plane = t * h * w;
    (first * h * w..(first + length) * h * w)
        .flat_map(|at| (0..c).map(move |channel| clip[channel * plane + at]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_go_last_and_come_back() {
        let shape = [2, 3, 1, 2];
        let clip: Vec<f32> = (0..12).map(|i| i as f32).collect();
        assert_eq!(channels_last(&clip, shape, 1, 1), [2.0, 8.0, 3.0, 9.0]);
        let mut clips = Clips::default();
        for t in 0..3 {
            clips.push(&[1, 2, 2], channels_last(&clip, shape, t, 1));
        }
        assert_eq!(clips.finish(1), HostTensor::f32(&[1, 2, 3, 1, 2], clip));
    }
}
