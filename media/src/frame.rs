//! Pictures in memory.

/// One frame, borrowed: RGB, f32 in 0..=1, with the transfer function that the models produce
/// (sRGB, tagged BT.709 in video files), row-major `[height, width, 3]`. Values outside are
/// clamped, NaN counts as 0.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `height * width * 3` samples.
    pub rgb: &'a [f32],
}

/// A picture that owns its samples; layout and range as in [`Frame`].
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `height * width * 3` samples.
    pub rgb: Vec<f32>,
}

impl Image {
    /// The same picture, borrowed.
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            width: self.width,
            height: self.height,
            rgb: &self.rgb,
        }
    }
}

/// 0..=1 to 0..=255, to the nearest.
pub(crate) fn to_u8(value: f32) -> u8 {
    // `as` saturates, and makes NaN 0.
    (value * 255.0 + 0.5) as u8
}

/// 0..=1 to 0..=65535, to the nearest.
pub(crate) fn to_u16(value: f32) -> u16 {
    (value * 65535.0 + 0.5) as u16
}

impl Frame<'_> {
    /// All samples as bytes, into a buffer that is used again for each frame.
    pub(crate) fn bytes_into(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend(self.rgb.iter().map(|&v| to_u8(v)));
    }
}
