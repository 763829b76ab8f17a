//! A picture as the transformer sees it.

use kinora_graph::{Executor, HostTensor};

use super::{Event, Listener, Stage, StageControl};
use crate::Result;
use crate::wan::vae::{Chunk, encoder_graph};
use crate::wan::{Conditioning, Model};

/// What stands beside or inside the noisy latent.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Nothing.
    None,
    /// `[in_channels - out_channels, F, h, w]` further channels: mask, then encoded clip.
    Channels(Vec<f32>),
    /// `[z_dim, h, w]`: the first latent frame.
    FirstFrame(Vec<f32>),
}

/// Encodes the picture `[height, width, 3]` (-1 to 1) that a clip of `frames` frames starts with.
pub fn encode_condition(
    model: &Model,
    executor: &mut dyn Executor,
    picture: &[f32],
    size: [usize; 2],
    frames: usize,
    listener: &mut dyn Listener,
) -> Result<Condition> {
    let frame_len = picture.len();
    match model.conditioning {
        Conditioning::Text => Ok(Condition::None),
        Conditioning::FirstFrame => {
            let z = encode_clip(
                model,
                executor,
                size,
                1,
                &mut |_, out| out.copy_from_slice(picture),
                listener,
            )?;
            Ok(Condition::FirstFrame(z))
        }
        Conditioning::Channels => {
            // The clip is the picture and then grey (0) frames.
            let mut frame = |index: usize, out: &mut [f32]| {
                debug_assert_eq!(out.len(), frame_len);
                if index == 0 {
                    out.copy_from_slice(picture)
                } else {
                    out.fill(0.0)
                }
            };
            let z = encode_clip(model, executor, size, frames, &mut frame, listener)?;
            let factor = model.vae_config.spatial_factor();
            let plane = (size[0] / factor) * (size[1] / factor);
            let latent_frames = model.vae_config.latent_frames(frames);
            // Mask: every frame of the first latent frame is given, no other is.
            let mut channels = Vec::with_capacity(z.len() + model.vae_config.temporal_factor() * latent_frames * plane);
            for _ in 0..model.vae_config.temporal_factor() {
                channels.extend(std::iter::repeat_n(1.0, plane));
                channels.extend(std::iter::repeat_n(0.0, (latent_frames - 1) * plane));
            }
            channels.extend(z);
            Ok(Condition::Channels(channels))
        }
    }
}

/// Encodes `frames` frames of `[height, width, 3]` (-1 to 1), which `frame(index, out)` fills in, chunk by chunk.
/// Returns normalised latents `[z_dim, F, h, w]`. Frames beyond 4n + 1 are not looked at.
pub fn encode_clip(
    model: &Model,
    executor: &mut dyn Executor,
    size: [usize; 2],
    frames: usize,
    frame: &mut dyn FnMut(usize, &mut [f32]),
    listener: &mut dyn Listener,
) -> Result<Vec<f32>> {
    let config = &model.vae_config;
    let (count, factor) = (config.latent_frames(frames), config.spatial_factor());
    let plane = (size[0] / factor) * (size[1] / factor);
    let mut latent = vec![0.0; config.z_dim * count * plane];
    listener.event(&Event::Started {
        stage: Stage::Picture,
        count,
    });
    let mut program = None;
    let result = (|| -> Result<()> {
        for index in 0..count {
            // The encoder treats all chunks after the first alike.
            let chunk = if index == 0 { Chunk::First } else { Chunk::Later };
            if index < 2 {
                program.take().into_iter().for_each(|old| executor.release(old));
                let graph = encoder_graph(config, &*model.vae, size, chunk)?;
                let compiled = *program.insert(executor.compile(graph, &model.vae)?);
                let needs = executor.requirements(compiled);
                listener.event(&Event::Planned {
                    stage: Stage::Picture,
                    needs,
                });
            }
            let Some(program) = program else { continue };
            let length = if index == 0 { 1 } else { config.temporal_factor() };
            let first = if index == 0 { 0 } else { 1 + (index - 1) * length };
            let mut pixels = vec![0.0; length * size[0] * size[1] * 3];
            for (offset, out) in pixels.chunks_exact_mut(size[0] * size[1] * 3).enumerate() {
                frame(first + offset, out);
            }
            let input = HostTensor::f32(&[length, size[0], size[1], 3], pixels);
            let mut control = StageControl {
                listener,
                stage: Stage::Picture,
                index,
                count,
            };
            let out = executor.run(program, &[("frames", &input)], &mut control)?;
            let mean = out["latent"].as_f32()?;
            for (position, values) in mean.chunks_exact(config.z_dim).enumerate() {
                for (c, value) in values.iter().enumerate() {
                    latent[(c * count + index) * plane + position] =
                        (value - config.latents_mean[c]) / config.latents_std[c];
                }
            }
        }
        Ok(())
    })();
    program.into_iter().for_each(|p| executor.release(p));
    executor.clear_states();
    result?;
    super::denoise::check_usable("picture encoding", &latent)?;
    listener.event(&Event::Finished { stage: Stage::Picture });
    Ok(latent)
}
