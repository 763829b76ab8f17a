//! Blending tiles to frames, on the host.

use std::ops::Range;

use super::Tiling;
use crate::wan::VaeConfig;

/// Frames in the making. Tiles come row by row, from left to right, each with all of its frames in order.
///
/// What a tile has beyond its stride waits for the neighbour below or to the right and is blended into it: rows first,
/// then columns, by weights that rise evenly from 0. Of finished tiles nothing else is kept.
pub(crate) struct Mosaic {
    /// Where tiles lie, in pixels.
    axes: [Vec<Span>; 2],
    /// Values of a pixel.
    channels: usize,
    /// Pixels of a patch have one weight: the reference blends before it shuffles channels to pixels.
    patch: usize,
    /// `[H, W, C]` each; empty until a tile has come, and again when the frame was taken.
    frames: Vec<Vec<f32>>,
    /// By column of tiles, each frame's rows beyond the stride of the tile above.
    above: Vec<Vec<Vec<f32>>>,
    /// Each frame's columns beyond the stride of the tile to the left.
    left: Vec<Vec<f32>>,
}

/// A tile's place on one axis, in pixels.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    size: usize,
    /// Pixels before the next tile begins.
    kept: usize,
}

impl Mosaic {
    /// Room for `frames` frames of tiles at `spans` (rows and columns, in latents).
    pub(crate) fn new(config: &VaeConfig, spans: &[Vec<Range<usize>>; 2], frames: usize) -> Self {
        Self {
            axes: [0, 1].map(|axis| pixels(&spans[axis], config.spatial_factor())),
            channels: config.pixel_channels(),
            patch: config.patch_size.unwrap_or(1),
            frames: vec![Vec::new(); frames],
            above: vec![vec![Vec::new(); frames]; spans[1].len()],
            left: vec![Vec::new(); frames],
        }
    }

    /// Puts one frame of the tile in row `row` and column `column` of tiles in its place: `pixels` `[h, w, C]`.
    pub(crate) fn place(&mut self, [row, column]: [usize; 2], frame: usize, mut pixels: Vec<f32>) {
        let (rows, columns) = (self.axes[0][row], self.axes[1][column]);
        let line = columns.size * self.channels;
        assert_eq!(pixels.len(), rows.size * line, "a frame fills its tile");

        let above = std::mem::take(&mut self.above[column][frame]);
        let extent = above.len() / line;
        blend(&above, line, &mut pixels, line, |y, _| self.weight(y, extent));
        let left = std::mem::take(&mut self.left[frame]);
        let extent = left.len() / rows.size / self.channels;
        blend(&left, extent * self.channels, &mut pixels, line, |_, x| {
            self.weight(x / self.channels, extent)
        });

        let width = self.axes[1].last().map_or(0, |last| last.start + last.size) * self.channels;
        let height = self.axes[0].last().map_or(0, |last| last.start + last.size);
        let whole = &mut self.frames[frame];
        whole.resize(height * width, 0.0);
        let kept = columns.kept * self.channels;
        let to = whole.chunks_exact_mut(width).skip(rows.start).take(rows.kept);
        for (to, from) in to.zip(pixels.chunks_exact(line)) {
            to[columns.start * self.channels..][..kept].copy_from_slice(&from[..kept]);
        }
        let mut beyond = Vec::with_capacity(rows.size * (line - kept));
        pixels
            .chunks_exact(line)
            .for_each(|line| beyond.extend_from_slice(&line[kept..]));
        self.left[frame] = beyond;
        self.above[column][frame] = pixels[rows.kept * line..].to_vec();
    }

    /// A frame `[H, W, C]` that all tiles have come for.
    pub(crate) fn take(&mut self, frame: usize) -> Vec<f32> {
        std::mem::take(&mut self.frames[frame])
    }

    /// The new tile's share of pixel `position` of `extent` shared ones.
    fn weight(&self, position: usize, extent: usize) -> f64 {
        (position / self.patch) as f64 / (extent / self.patch) as f64
    }
}

fn pixels(spans: &[Range<usize>], factor: usize) -> Vec<Span> {
    let next = spans.iter().skip(1).map(|next| next.start);
    let ends = next.chain(spans.last().map(|last| last.end));
    spans
        .iter()
        .zip(ends)
        .map(|(span, end)| Span {
            start: span.start * factor,
            size: span.len() * factor,
            kept: (end - span.start) * factor,
        })
        .collect()
}

/// Blends `strip`, lines of `width` values, into the top left of `pixels`, lines of `line` values. `weight(y, x)` is
/// the share of what `pixels` has at that value.
fn blend(strip: &[f32], width: usize, pixels: &mut [f32], line: usize, weight: impl Fn(usize, usize) -> f64) {
    // No line of no width is a line.
    for (y, (old, new)) in strip
        .chunks_exact(width.max(1))
        .zip(pixels.chunks_exact_mut(line))
        .enumerate()
    {
        for (x, (old, new)) in old.iter().zip(new).enumerate() {
            // As torch does: the weight in f64, both factors rounded to f32.
            let weight = weight(y, x);
            *new = old * (1.0 - weight) as f32 + *new * weight as f32;
        }
    }
}

/// Bytes of host memory that decoding a latent `[frames, h, w]` in tiles takes: all frames as f32 until the last tile
/// comes, and the strips that wait to be blended. Decoding whole takes none of it.
pub fn tiled_host_bytes(config: &VaeConfig, [frames, h, w]: [usize; 3], tiling: &Tiling) -> u64 {
    let axes = tiling
        .spans([h, w])
        .map(|spans| pixels(&spans, config.spatial_factor()));
    let overlap = |axis: usize| axes[axis].iter().map(|s| (s.size - s.kept) as u128).max().unwrap_or(0);
    let sum = |axis: usize, of: fn(&Span) -> usize| axes[axis].iter().map(|s| of(s) as u128).sum::<u128>();
    let picture = sum(0, |s| s.kept) * sum(1, |s| s.kept);
    let above = overlap(0) * sum(1, |s| s.size);
    let left = overlap(1) * axes[0].iter().map(|s| s.size as u128).max().unwrap_or(0);
    let bytes =
        config.frames(frames) as u128 * (picture + above + left) * (config.pixel_channels() * size_of::<f32>()) as u128;
    bytes.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHANNELS: usize = 3;

    /// Tiles cut from a picture, put together again; the most bytes that were held on the way.
    fn assemble(config: &VaeConfig, tiling: &Tiling, latent: [usize; 2], frames: usize) -> (Vec<Vec<f32>>, u64) {
        let factor = config.spatial_factor();
        let spans = tiling.spans(latent);
        let mut mosaic = Mosaic::new(config, &spans, frames);
        let mut most = 0;
        for (row, rows) in spans[0].iter().enumerate() {
            for (column, columns) in spans[1].iter().enumerate() {
                for frame in 0..frames {
                    let at = |axis: &Range<usize>| axis.start * factor..axis.end * factor;
                    let lines = at(rows).flat_map(|y| at(columns).map(move |x| (y, x)));
                    let pixels = lines.flat_map(|(y, x)| (0..CHANNELS).map(move |c| picture(frame, y, x, c)));
                    mosaic.place([row, column], frame, pixels.collect());
                    let strips = mosaic.above.iter().flatten().chain(&mosaic.left).chain(&mosaic.frames);
                    most = most.max(strips.map(|s| 4 * s.len() as u64).sum());
                }
            }
        }
        ((0..frames).map(|frame| mosaic.take(frame)).collect(), most)
    }

    fn picture(frame: usize, y: usize, x: usize, c: usize) -> f32 {
        (1 + c) as f32 + (frame * 7 + y * 3 + x) as f32 / 64.0
    }

    proptest! {
        /// Where all tiles agree, the frames are what they agree on: each pixel comes from its place, once, and
        /// weights sum to one.
        #[test]
        fn tiles_that_agree_make_the_whole(
            h in 1..9_usize, w in 1..9_usize, tile in [1..7_usize, 1..7], stride in [1..7_usize, 1..7], wan22: bool, chunks in 1..3_usize,
        ) {
            let config = if wan22 { VaeConfig::wan22() } else { VaeConfig::wan21() };
            let Ok(tiling) = Tiling::new(tile, stride) else { return Ok(()) };
            let count = config.frames(chunks);
            let (frames, most) = assemble(&config, &tiling, [h, w], count);
            let size = [h, w].map(|n| n * config.spatial_factor());
            for (index, frame) in frames.iter().enumerate() {
                prop_assert_eq!(frame.len(), size[0] * size[1] * CHANNELS);
                for (i, value) in frame.iter().enumerate() {
                    let (pixel, c) = (i / CHANNELS, i % CHANNELS);
                    let expected = picture(index, pixel / size[1], pixel % size[1], c);
                    prop_assert!((value - expected).abs() <= 1e-5 * expected, "{value} for {expected} at {i}");
                }
            }
            let predicted = tiled_host_bytes(&config, [chunks, h, w], &tiling);
            prop_assert!(most <= predicted && 2 * most > predicted, "{most} bytes held, {predicted} predicted");
        }
    }

    #[test]
    fn weights_rise_from_the_old_tile_to_the_new_by_patches() {
        for (config, pixels) in [(VaeConfig::wan21(), 8), (VaeConfig::wan22(), 16)] {
            let patch = config.patch_size.unwrap_or(1);
            let ramp = (0..pixels).map(|y| 1.0 - (y / patch * patch) as f32 / pixels as f32);
            let expected = std::iter::repeat_n(1.0, pixels).chain(ramp).chain(vec![0.0; pixels]);
            let expected: Vec<f32> = expected.flat_map(|v| vec![v; pixels]).collect();
            // Two tiles of two latents that share one, below and beside each other: 1 everywhere, then 0 everywhere.
            let (long, short) = (vec![0..2, 1..3], vec![0..1]);
            for (spans, second) in [([long.clone(), short.clone()], [1, 0]), ([short, long], [0, 1])] {
                let mut mosaic = Mosaic::new(&config, &spans, 1);
                let tile = vec![1.0; 2 * pixels * pixels * CHANNELS];
                mosaic.place([0, 0], 0, tile.clone());
                mosaic.place(second, 0, vec![0.0; tile.len()]);
                let frame: Vec<f32> = mosaic.take(0).chunks_exact(CHANNELS).map(|pixel| pixel[1]).collect();
                let position = |along: usize, across: usize| match second {
                    [1, 0] => along * pixels + across,
                    _ => across * 3 * pixels + along,
                };
                let along = (0..3 * pixels).flat_map(|a| (0..pixels).map(move |b| position(a, b)));
                let found: Vec<f32> = along.map(|at| frame[at]).collect();
                assert_eq!(found, expected);
            }
        }
    }
}
