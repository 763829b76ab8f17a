//! Resampling in space and time, and the weightless shortcuts around it (Wan 2.2).

use kinora_graph::{Padding, Rearrange, Result, Scope, Value};

use super::{
    Chunk,
    blocks::{HISTORY, Net},
};

impl Net<'_, '_> {
    /// Twice as many rows and columns and, where `time`, twice as many frames. `width` is the width in, `out` out.
    pub(super) fn upsample(&mut self, scope: &Scope, mut x: Value, time: bool, out: usize) -> Result<Value> {
        if time && self.chunk != Chunk::First {
            x = self.upsample_time(scope, x)?;
        }
        let x = self.b.upsample_nearest(x, 2)?;
        self.b.conv3d(
            scope,
            "resample.1",
            x,
            None,
            out,
            [1, 3, 3],
            [1, 1, 1],
            Padding::SPACE_1,
            None,
        )
    }

    /// A convolution over time to twice the width; the halves of its channels are consecutive frames.
    fn upsample_time(&mut self, scope: &Scope, x: Value) -> Result<Value> {
        let &[t, h, w, c] = self.b.shape(x) else {
            unreachable!("feature maps have four dimensions")
        };
        let cache = self.history(scope, "time_conv", x, self.chunk == Chunk::Later)?;
        let padding = Padding {
            front: if cache.is_some() { 0 } else { HISTORY },
            ..Padding::default()
        };
        let y = self
            .b
            .conv3d(scope, "time_conv", x, cache, 2 * c, [3, 1, 1], [1, 1, 1], padding, None)?;
        self.b
            .permute(y, &[t, h, w, 2, c], &[0, 3, 1, 2, 4], 0, &[2 * t, h, w, c])
    }

    /// Half as many rows and columns and, where `time`, half as many frames (the first stands alone).
    pub(super) fn downsample(&mut self, scope: &Scope, x: Value, time: bool) -> Result<Value> {
        let width = *self.b.shape(x).last().expect("feature maps have four dimensions");
        let padding = Padding {
            bottom: 1,
            right: 1,
            ..Padding::default()
        };
        let x = self
            .b
            .conv3d(scope, "resample.1", x, None, width, [1, 3, 3], [1, 2, 2], padding, None)?;
        if !time {
            return Ok(x);
        }
        let &[t, h, w, c] = self.b.shape(x) else {
            unreachable!("feature maps have four dimensions")
        };
        let state = scope.name("time_conv");
        let last = self.b.slice(x, 0, t - 1..t)?;
        let y = match self.chunk {
            Chunk::First => x,
            _ => {
                let cache = self.b.state(&state, &[1, h, w, c]);
                self.b.conv3d(
                    scope,
                    "time_conv",
                    x,
                    Some(cache),
                    c,
                    [3, 1, 1],
                    [2, 1, 1],
                    Padding::default(),
                    None,
                )?
            }
        };
        self.b.set_state(&state, last);
        Ok(y)
    }

    /// Space (and time) to channels, then the mean of neighbouring channels: `[T, H, W, C]` →
    /// `[T / ft, H / fs, W / fs, out]`. The first chunk's single frame gets zero frames in front.
    pub(super) fn average_down(&mut self, x: Value, out: usize, ft: usize, fs: usize) -> Result<Value> {
        let &[t, h, w, c] = self.b.shape(x) else {
            unreachable!("feature maps have four dimensions")
        };
        let missing = t.next_multiple_of(ft) - t;
        let x = if missing == 0 {
            x
        } else {
            let zeros = self.b.fill(&[missing, h, w, c], 0.0);
            self.b.concat(&[zeros, x])?
        };
        let t = t + missing;
        let group = c * ft * fs * fs / out;
        let channels = [(c, 1), (ft, h * w * c), (fs, w * c), (fs, c)];
        let (kept, averaged) = split_trailing(&channels, group);
        let mut axes = vec![(t / ft, ft * h * w * c), (h / fs, fs * w * c), (w / fs, fs * c)];
        axes.extend(kept);
        let reduce = averaged.len();
        axes.extend(averaged);
        let (sizes, strides) = axes.into_iter().unzip();
        self.b.rearrange(
            x,
            Rearrange {
                sizes,
                strides,
                offset: 0,
                reduce,
            },
            &[t / ft, h / fs, w / fs, out],
        )
    }

    /// Channels repeated, then channels to space (and time): `[T, H, W, C]` → `[T · ft, H · fs, W · fs, out]`.
    /// The first chunk keeps only the last of its `ft` frames.
    pub(super) fn duplicate_up(&mut self, x: Value, out: usize, ft: usize, fs: usize) -> Result<Value> {
        let &[t, h, w, c] = self.b.shape(x) else {
            unreachable!("feature maps have four dimensions")
        };
        // Output channel, frame, row and column offsets, in the order in which they count channels of x.
        let repeats = out * ft * fs * fs / c;
        let mut offsets = [out, ft, fs, fs].map(|size| vec![(size, 0)]);
        let mut count = 1;
        for axis in (0..4).rev() {
            let size = offsets[axis][0].0;
            // `count` offsets lie below this axis; one channel serves `repeats` of them.
            let inner = (repeats / count).clamp(1, size);
            let stride = (count * inner) / repeats;
            offsets[axis] = vec![(size / inner, stride), (inner, 0)];
            count *= size;
        }
        let [channel, frame, row, column] = offsets;
        let first = self.chunk == Chunk::First && ft > 1;
        let mut axes = vec![(t, h * w * c)];
        let mut offset = 0;
        if first {
            offset = (ft - 1) / frame[1].0 * frame[0].1;
        } else {
            axes.extend(frame);
        }
        axes.push((h, w * c));
        axes.extend(row);
        axes.push((w, c));
        axes.extend(column);
        axes.extend(channel);
        let (sizes, strides) = axes.into_iter().unzip();
        let frames = if first { t } else { t * ft };
        self.b.rearrange(
            x,
            Rearrange {
                sizes,
                strides,
                offset,
                reduce: 0,
            },
            &[frames, h * fs, w * fs, out],
        )
    }
}

/// Splits axes (size, stride), outermost first, so that the trailing ones hold `count` elements.
#[expect(clippy::type_complexity, reason = "two lists of axes")]
fn split_trailing(axes: &[(usize, usize)], count: usize) -> (Vec<(usize, usize)>, Vec<(usize, usize)>) {
    let (mut kept, mut trailing) = (Vec::new(), Vec::new());
    let mut left = count;
    for &(size, stride) in axes.iter().rev() {
        let inner = left.min(size);
        left /= inner;
        trailing.insert(0, (inner, stride));
        kept.insert(0, (size / inner, stride * inner));
    }
    (kept, trailing)
}
