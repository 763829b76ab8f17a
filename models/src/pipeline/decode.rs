//! Latents to frames, a latent frame at a time.

use std::ops::Range;
use std::sync::Arc;

use kinora_graph::{Error, Executor, HostTensor, ProgramId};
use kinora_quant::Weights;

use super::{Event, Listener, Stage, StageControl, denoise::check_usable};
use crate::Result;
use crate::wan::vae::{Chunk, Mosaic, Tiling, decoder_graph};
use crate::wan::{Model, VaeConfig};

/// Decodes normalised latents `[z_dim, F, h, w]`; hands each frame `[H, W, 3]` (0 to 1) to `sink` as soon as it is
/// there. For `tiling` see [`Decoder`].
pub fn decode(
    model: &Model,
    executor: &mut dyn Executor,
    latent: &[f32],
    shape: [usize; 3],
    tiling: Option<Tiling>,
    listener: &mut dyn Listener,
    sink: &mut dyn FnMut(&[f32]) -> Result<()>,
) -> Result<()> {
    let config = &model.vae_config;
    let statistics = config.latents_mean.iter().zip(&config.latents_std);
    let channels = latent.chunks(shape.iter().product::<usize>().max(1));
    let latent: Vec<f32> = channels
        .zip(statistics)
        .flat_map(|(channel, (mean, std))| channel.iter().map(move |v| v * std + mean))
        .collect();
    let decoder = Decoder::new(config, &model.vae, tiling);
    decoder.run(executor, &latent, shape, listener, &mut |mut frame| {
        frame.iter_mut().for_each(|v| *v = (*v * 0.5 + 0.5).clamp(0.0, 1.0));
        sink(&frame)
    })
}

/// Runs the decoder of an autoencoder over clips.
///
/// Without a tiling, memory does not grow with the number of frames. In tiles less is needed of the device, more of
/// the host ([`tiled_host_bytes`](crate::wan::vae::tiled_host_bytes)), and the picture differs a little: only for a
/// device that has no room for the whole picture.
pub struct Decoder<'a> {
    config: &'a VaeConfig,
    weights: &'a Arc<dyn Weights>,
    tiling: Option<Tiling>,
}

/// A part of the latent: its place among tiles, its rows and its columns.
struct Tile {
    at: [usize; 2],
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Tile {
    fn size(&self) -> [usize; 2] {
        [self.rows.len(), self.columns.len()]
    }
}

/// All tiles of these rows and columns, row by row.
fn tiles([rows, columns]: &[Vec<Range<usize>>; 2]) -> Vec<Tile> {
    let places = (0..rows.len()).flat_map(|row| (0..columns.len()).map(move |column| [row, column]));
    places
        .map(|at| Tile {
            at,
            rows: rows[at[0]].clone(),
            columns: columns[at[1]].clone(),
        })
        .collect()
}

impl<'a> Decoder<'a> {
    /// A decoder of this shape, whole or in tiles.
    pub fn new(config: &'a VaeConfig, weights: &'a Arc<dyn Weights>, tiling: Option<Tiling>) -> Self {
        Self {
            config,
            weights,
            tiling,
        }
    }

    /// Decodes denormalised latents `[z_dim, F, h, w]`; `shape` is the last three. Each frame `[H, W, 3]`, black -1 and
    /// white 1 but not cut off there, goes to `sink` as soon as it is there.
    ///
    /// # Errors
    /// Those of the executor and of `sink`; a `latent` that does not fill its shape; a chunk that is not finite.
    pub fn run(
        &self,
        executor: &mut dyn Executor,
        latent: &[f32],
        shape: [usize; 3],
        listener: &mut dyn Listener,
        sink: &mut dyn FnMut(Vec<f32>) -> Result<()>,
    ) -> Result<()> {
        let [count, h, w] = shape;
        let channels = self.config.z_dim;
        if shape.iter().try_fold(channels, |n, size| n.checked_mul(*size)) != Some(latent.len()) {
            let why = format!("{} values do not fill {channels} channels of {shape:?}", latent.len());
            let name = "latent".into();
            return Err(Error::Input { name, why }.into());
        }
        let spans = match &self.tiling {
            Some(tiling) => tiling.spans([h, w]),
            None => [h, w].map(|side| std::iter::once(0..side).collect()),
        };
        let tiles = tiles(&spans);
        let mut mosaic = Mosaic::new(self.config, &spans, self.config.frames(count));
        listener.event(&Event::Started {
            stage: Stage::Decoding,
            count: count * tiles.len(),
        });
        if let Some(tiling) = self.tiling.filter(|_| tiles.len() > 1) {
            let side = tiling.tile().map(|n| n * self.config.spatial_factor());
            listener.event(&Event::Warning(format!(
                "the picture is decoded in {} overlapping tiles of up to {}x{} pixels; that takes less memory of the device, and the result differs a little from a picture decoded whole",
                tiles.len(),
                side[1],
                side[0]
            )));
        }
        let mut programs = Programs::default();
        let result = (|| -> Result<()> {
            for (position, tile) in tiles.iter().enumerate() {
                let later = &tiles[position + 1..];
                executor.clear_states();
                let mut frame = 0;
                for index in 0..count {
                    let chunk = Chunk::at(index);
                    let program = programs.get(self, executor, tile.size(), chunk, listener)?;
                    programs.retain(executor, |size, other| {
                        other >= chunk && size == tile.size() || later.iter().any(|tile| tile.size() == size)
                    });
                    let input = self.input(latent, shape, index, tile);
                    let mut control = StageControl {
                        listener,
                        stage: Stage::Decoding,
                        index: position * count + index,
                        count: count * tiles.len(),
                    };
                    let mut outputs = executor.run(program, &[("latent", &input)], &mut control)?;
                    let frames = outputs.remove("frames").expect("the graph has this output");
                    let length = frames.shape[1..].iter().product();
                    let pixels = frames.as_f32()?;
                    if pixels.iter().any(|v| !v.is_finite()) {
                        check_usable("decoding", pixels)?;
                    }
                    for pixels in pixels.chunks_exact(length) {
                        mosaic.place(tile.at, frame, pixels.to_vec());
                        if later.is_empty() {
                            sink(mosaic.take(frame))?;
                        }
                        frame += 1;
                    }
                }
            }
            Ok(())
        })();
        programs.retain(executor, |_, _| false);
        executor.clear_states();
        result?;
        listener.event(&Event::Finished { stage: Stage::Decoding });
        Ok(())
    }

    /// One latent frame of a tile, `[1, h, w, z_dim]`.
    fn input(&self, latent: &[f32], [count, h, w]: [usize; 3], index: usize, tile: &Tile) -> HostTensor {
        let channels = self.config.z_dim;
        let mut values = Vec::with_capacity(tile.rows.len() * tile.columns.len() * channels);
        for y in tile.rows.clone() {
            for x in tile.columns.clone() {
                values.extend((0..channels).map(|c| latent[((c * count + index) * h + y) * w + x]));
            }
        }
        let [rows, columns] = tile.size();
        HostTensor::f32(&[1, rows, columns, channels], values)
    }
}

/// Programs by size of the tile and kind of the chunk.
#[derive(Default)]
struct Programs(Vec<([usize; 2], Chunk, ProgramId)>);

impl Programs {
    /// The program for a tile and a chunk, compiled where there is none yet.
    fn get(
        &mut self,
        decoder: &Decoder<'_>,
        executor: &mut dyn Executor,
        size: [usize; 2],
        chunk: Chunk,
        listener: &mut dyn Listener,
    ) -> Result<ProgramId> {
        if let Some((_, _, program)) = self.0.iter().find(|(s, c, _)| (*s, *c) == (size, chunk)) {
            return Ok(*program);
        }
        let graph = decoder_graph(decoder.config, &**decoder.weights, size, chunk)?;
        let program = match executor.compile(graph.clone(), decoder.weights) {
            // The other programs share the weights, but there is no room for all of them.
            Err(Error::OutOfMemory { .. }) if !self.0.is_empty() => {
                self.retain(executor, |_, _| false);
                executor.compile(graph, decoder.weights)?
            }
            compiled => compiled?,
        };
        self.0.push((size, chunk, program));
        listener.event(&Event::Planned {
            stage: Stage::Decoding,
            needs: executor.requirements(program),
        });
        Ok(program)
    }

    /// Releases all programs but those that are `needed`. One that is must be compiled before: it keeps the weights on
    /// the device.
    fn retain(&mut self, executor: &mut dyn Executor, needed: impl Fn([usize; 2], Chunk) -> bool) {
        self.0.retain(|(size, chunk, program)| {
            let needed = needed(*size, *chunk);
            if !needed {
                executor.release(*program);
            }
            needed
        });
    }
}
