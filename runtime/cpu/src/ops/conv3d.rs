//! Convolutions as implicit matrix products: patches exist for one block of output positions at a time.

use kinora_graph::{Conv3d, Result};
use rayon::prelude::*;

use super::{Machine, operand};
use crate::frame::Frame;
use crate::matmul::{Mat, Old, Target, Threads, multiply};
use crate::weights::WeightMatrix;

/// Most columns of the patches that are gathered at once: with [`MOST_POSITIONS`] they take 4 MiB.
const PATCH_COLUMNS: usize = 4096;

/// Output positions of a task.
const MOST_POSITIONS: usize = 256;

/// Fewer positions would waste the packing of the weights.
const FEWEST_POSITIONS: usize = 32;

pub(super) fn run(machine: &Machine<'_>, frame: &Frame<'_>, op: &Conv3d, shape: &[usize]) -> Result<Vec<f32>> {
    let x = operand(frame, op.x, machine.precision)?;
    let cache = op
        .cache
        .map(|cache| operand(frame, cache, machine.precision))
        .transpose()?;
    let bias = frame.optional(op.bias)?;
    let residual = frame.optional(op.residual)?;
    let input = Input::new(op, frame.shape(op.x), &x, cache.as_deref().unwrap_or_default(), shape);
    let weight = WeightMatrix::new(machine.weights, &op.weight, machine.precision);

    let (n, k) = (op.weight.n(), op.weight.k);
    let positions: usize = shape[..3].iter().product();
    let mut out = vec![0.0; positions * n];
    // At least eight tasks where the output is small; by shape alone.
    let block = positions.div_ceil(8).clamp(FEWEST_POSITIONS, MOST_POSITIONS);
    let run = input.run();
    let lines_at_once = (PATCH_COLUMNS / run).max(1);
    let lines = k / run;
    for panel in weight.panels() {
        let w = weight.decode(panel.clone())?;
        out.par_chunks_mut(block * n)
            .enumerate()
            .for_each_init(Vec::new, |patches, (index, out)| {
                let rows = out.len() / n;
                for first in (0..lines).step_by(lines_at_once) {
                    let last = lines.min(first + lines_at_once);
                    let columns = (last - first) * run;
                    let patches = match input.as_matrix(index * block, rows) {
                        Some(direct) => direct,
                        None => {
                            patches.resize(rows * columns, 0.0);
                            for (row, patch) in patches.chunks_mut(columns).enumerate() {
                                input.gather(index * block + row, first, patch);
                            }
                            Mat::new(patches, rows, columns, columns)
                        }
                    };
                    let w = Mat::new(&w[first * run..], panel.len(), columns, k).transposed();
                    let old = if first == 0 { Old::Overwritten } else { Old::AddedTo };
                    multiply(
                        Target::new(&mut out[panel.start..], n),
                        old,
                        patches,
                        w,
                        1.0,
                        Threads::One,
                    );
                }
            });
    }

    if bias.is_some() || residual.is_some() {
        out.par_chunks_mut(block * n).enumerate().for_each(|(index, out)| {
            if let Some(bias) = bias {
                for row in out.chunks_mut(n) {
                    row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
                }
            }
            if let Some(residual) = residual {
                out.iter_mut()
                    .zip(&residual[index * block * n..])
                    .for_each(|(y, r)| *y += r);
            }
        });
    }
    Ok(out)
}

/// The cache and the input, seen as one padded map.
struct Input<'a> {
    op: &'a Conv3d,
    x: &'a [f32],
    cache: &'a [f32],
    frames: usize,
    height: usize,
    width: usize,
    channels: usize,
    /// Height and width of the output.
    out: [usize; 2],
}

impl<'a> Input<'a> {
    fn new(op: &'a Conv3d, shape: &[usize], x: &'a [f32], cache: &'a [f32], out: &[usize]) -> Self {
        let [frames, height, width, channels] = *shape else {
            unreachable!("the builder checks for four dimensions")
        };
        let frames = frames + cache.len() / (height * width * channels).max(1);
        Self {
            op,
            x,
            cache,
            frames,
            height,
            width,
            channels,
            out: [out[1], out[2]],
        }
    }

    /// Columns of a patch that lie together in the input: the taps along the width, times the channels.
    fn run(&self) -> usize {
        self.op.kernel[2] * self.channels
    }

    /// The patches of `rows` positions from `first` on, where they are the input itself: kernels of one tap.
    fn as_matrix(&self, first: usize, rows: usize) -> Option<Mat<'a>> {
        let direct = self.op.kernel == [1; 3]
            && self.op.stride == [1; 3]
            && self.op.padding == Default::default()
            && self.cache.is_empty();
        direct.then(|| Mat::new(&self.x[first * self.channels..], rows, self.channels, self.channels))
    }

    /// The frame `t` of cache and input.
    fn frame(&self, t: usize) -> &'a [f32] {
        let size = self.height * self.width * self.channels;
        match (t * size).checked_sub(self.cache.len()) {
            Some(start) => &self.x[start..start + size],
            None => &self.cache[t * size..(t + 1) * size],
        }
    }

    /// Fills `patch` with the lines (pairs of taps in time and height) from `first` on of an output position.
    fn gather(&self, position: usize, first: usize, patch: &mut [f32]) {
        let (op, c) = (self.op, self.channels);
        let [height, width] = self.out;
        let (ot, oh, ow) = (position / (height * width), position / width % height, position % width);
        // Taps along the width that fall onto the map, and the column of the first of them.
        let column = ow * op.stride[2];
        let skip = op.padding.left.saturating_sub(column).min(op.kernel[2]);
        let start = (column + skip).saturating_sub(op.padding.left).min(self.width);
        let taps = (self.width - start).min(op.kernel[2] - skip);
        for (line, values) in patch.chunks_mut(self.run()).enumerate() {
            let (dt, dh) = ((first + line) / op.kernel[1], (first + line) % op.kernel[1]);
            let t = (ot * op.stride[0] + dt)
                .checked_sub(op.padding.front)
                .filter(|t| *t < self.frames);
            let h = (oh * op.stride[1] + dh)
                .checked_sub(op.padding.top)
                .filter(|h| *h < self.height);
            let (Some(t), Some(h)) = (t, h) else {
                values.fill(0.0);
                continue;
            };
            let (before, rest) = values.split_at_mut(skip * c);
            let (on_map, after) = rest.split_at_mut(taps * c);
            before.fill(0.0);
            on_map.copy_from_slice(&self.frame(t)[(h * self.width + start) * c..][..taps * c]);
            after.fill(0.0);
        }
    }
}
