//! RGB to BT.709 4:2:0 in the limited range, and sRGB to linear light.

use crate::frame::Frame;

/// Three planes of 8 bits; the chroma planes have half the sides, rounded up.
#[derive(Default)]
pub(crate) struct Yuv420 {
    pub(crate) y: Vec<u8>,
    pub(crate) u: Vec<u8>,
    pub(crate) v: Vec<u8>,
}

const KR: f32 = 0.2126;
const KB: f32 = 0.0722;
const KG: f32 = 1.0 - KR - KB;

fn luma([r, g, b]: [f32; 3]) -> f32 {
    KR * r + KG * g + KB * b
}

impl Yuv420 {
    /// Converts a frame (Rec. ITU-R BT.709, 8 bits: Y 16..=235, Cb and Cr 16..=240).
    ///
    /// Chroma samples sit where H.264 and AV1's "vertical" position have them, on every second
    /// luma column and between two rows: taps 1 2 1 along a row, 1 1 down a column. The last
    /// column and row are repeated where a side is odd.
    pub(crate) fn convert(&mut self, frame: &Frame) {
        let (width, height) = (frame.width, frame.height);
        let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
        self.y.clear();
        self.y
            .extend(frame.rgb.chunks_exact(3).map(|p| (16.5 + 219.0 * luma(clamp(p))) as u8));
        self.u.resize(chroma_width * chroma_height, 0);
        self.v.resize(chroma_width * chroma_height, 0);
        let mut column_mean = vec![[0f32; 3]; width];
        for cy in 0..chroma_height {
            let row = |y: usize| &frame.rgb[y * width * 3..][..width * 3];
            let (upper, lower) = (row(2 * cy), row((2 * cy + 1).min(height - 1)));
            let pairs = upper.chunks_exact(3).zip(lower.chunks_exact(3));
            for (mean, (a, b)) in column_mean.iter_mut().zip(pairs) {
                let (a, b) = (clamp(a), clamp(b));
                *mean = std::array::from_fn(|c| (a[c] + b[c]) / 2.0);
            }
            for cx in 0..chroma_width {
                let x = 2 * cx;
                let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
                // Conversion is linear, so it may follow the averaging.
                let rgb: [f32; 3] = std::array::from_fn(|c| {
                    (column_mean[left][c] + 2.0 * column_mean[x][c] + column_mean[right][c]) / 4.0
                });
                let y = luma(rgb);
                let at = cy * chroma_width + cx;
                self.u[at] = (128.5 + 224.0 * (rgb[2] - y) / (2.0 * (1.0 - KB))) as u8;
                self.v[at] = (128.5 + 224.0 * (rgb[0] - y) / (2.0 * (1.0 - KR))) as u8;
            }
        }
    }
}

fn clamp(pixel: &[f32]) -> [f32; 3] {
    std::array::from_fn(|c| unit(pixel[c]))
}

/// To 0..=1; NaN becomes 0, where `f32::clamp` would keep it.
fn unit(value: f32) -> f32 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

/// The sRGB transfer function undone (IEC 61966-2-1): 0..=1 to linear light 0..=1.
pub(crate) fn srgb_to_linear(value: f32) -> f32 {
    let value = unit(value);
    if value <= 0.04045 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(rgb: [f32; 3], width: usize, height: usize) -> Yuv420 {
        let rgb = rgb.repeat(width * height);
        let mut yuv = Yuv420::default();
        yuv.convert(&Frame {
            width,
            height,
            rgb: &rgb,
        });
        yuv
    }

    #[test]
    fn primaries_have_the_standards_codes() {
        // BT.709 colour bars at 100 %, 8 bit, limited range.
        for (rgb, code) in [
            ([0., 0., 0.], [16, 128, 128]),
            ([1., 1., 1.], [235, 128, 128]),
            ([1., 0., 0.], [63, 102, 240]),
            ([0., 1., 0.], [173, 42, 26]),
            ([0., 0., 1.], [32, 240, 118]),
            ([f32::NAN, -3.0, 0.0], [16, 128, 128]),
        ] {
            let yuv = convert(rgb, 3, 3);
            assert!(yuv.y.iter().all(|&v| v == code[0]), "{rgb:?} {:?}", yuv.y);
            assert_eq!(yuv.u, [code[1]; 4], "{rgb:?}");
            assert_eq!(yuv.v, [code[2]; 4], "{rgb:?}");
        }
    }

    #[test]
    fn chroma_is_sited_on_even_columns() {
        // Red column 2 of 5, else black: 1/2 of it falls on sample 1, nothing on 0 and 2.
        let mut rgb = vec![0f32; 5 * 2 * 3];
        for y in 0..2 {
            rgb[(y * 5 + 2) * 3] = 1.0;
        }
        let mut yuv = Yuv420::default();
        yuv.convert(&Frame {
            width: 5,
            height: 2,
            rgb: &rgb,
        });
        assert_eq!(yuv.v, [128, 128 + 56, 128]);
    }

    #[test]
    fn linear_light() {
        assert_eq!(srgb_to_linear(0.0), 0.0);
        assert_eq!(srgb_to_linear(1.0), 1.0);
        assert!((srgb_to_linear(0.5) - 0.214_041).abs() < 1e-6);
    }
}
