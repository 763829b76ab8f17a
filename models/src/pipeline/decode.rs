//! Latents to frames, a latent frame at a time.

use kinora_graph::{Executor, HostTensor, ProgramId};

use super::{Event, Listener, Stage, StageControl, denoise::check_usable};
use crate::Result;
use crate::wan::Model;
use crate::wan::vae::{Chunk, decoder_graph};

/// Decodes normalised latents `[z_dim, F, h, w]`; hands each frame `[H, W, 3]` (0 to 1) to `sink` as soon as it is
/// there. Memory does not grow with the number of frames.
pub fn decode(
    model: &Model,
    executor: &mut dyn Executor,
    latent: &[f32],
    shape: [usize; 3],
    listener: &mut dyn Listener,
    sink: &mut dyn FnMut(&[f32]) -> Result<()>,
) -> Result<()> {
    let config = &model.vae_config;
    let [count, h, w] = shape;
    let plane = h * w;
    listener.event(&Event::Started {
        stage: Stage::Decoding,
        count,
    });
    let mut programs: Vec<(Chunk, ProgramId)> = Vec::new();
    let result = (|| -> Result<()> {
        for index in 0..count {
            let chunk = Chunk::at(index);
            if programs.last().is_none_or(|(loaded, _)| *loaded != chunk) {
                // Compile before the old program goes, so that the weights stay on the device.
                let program = executor.compile(decoder_graph(config, &*model.vae, [h, w], chunk)?, &model.vae)?;
                listener.event(&Event::Planned {
                    stage: Stage::Decoding,
                    needs: executor.requirements(program),
                });
                if let Some((_, old)) = programs.pop() {
                    executor.release(old);
                }
                programs.push((chunk, program));
            }
            let mut input = Vec::with_capacity(plane * config.z_dim);
            for position in 0..plane {
                input.extend((0..config.z_dim).map(|c| {
                    latent[(c * count + index) * plane + position] * config.latents_std[c] + config.latents_mean[c]
                }));
            }
            let input = HostTensor::f32(&[1, h, w, config.z_dim], input);
            let mut control = StageControl {
                listener,
                stage: Stage::Decoding,
                index,
                count,
            };
            let outputs = executor.run(programs[0].1, &[("latent", &input)], &mut control)?;
            let frames = &outputs["frames"];
            let mut pixels = frames.as_f32()?.to_vec();
            if pixels.iter().any(|v| !v.is_finite()) {
                check_usable("decoding", &pixels)?;
            }
            pixels.iter_mut().for_each(|v| *v = (*v * 0.5 + 0.5).clamp(0.0, 1.0));
            let frame_len = frames.shape[1..].iter().product();
            pixels.chunks_exact(frame_len).try_for_each(&mut *sink)?;
        }
        Ok(())
    })();
    programs.into_iter().for_each(|(_, p)| executor.release(p));
    executor.clear_states();
    result?;
    listener.event(&Event::Finished { stage: Stage::Decoding });
    Ok(())
}
