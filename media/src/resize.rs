//! Pictures to a model's size, as the models' own programs do it.

use crate::frame::{Image, to_u8};

/// PIL's fixed-point arithmetic: bits after the point.
const PRECISION: u32 = 32 - 8 - 2;

/// The taps of one output sample: the first input sample, and weights that sum to 1.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn lanczos3(x: f64) -> f64 {
    let sinc = |x: f64| {
        if x == 0.0 {
            1.0
        } else {
            (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI)
        }
    };
    if (-3.0..3.0).contains(&x) {
        sinc(x) * sinc(x / 3.0)
    } else {
        0.0
    }
}

/// `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow's `Resample.c`.
fn taps(input: usize, output: usize) -> Vec<Taps> {
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let support = 3.0 * stretch;
    let inverse = 1.0 / stretch;
    (0..output)
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale;
            // `as` saturates at 0, where C's code clamps.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let raw: Vec<f64> = (first..end)
                .map(|x| lanczos3((x as f64 - centre + 0.5) * inverse))
                .collect();
            let sum: f64 = raw.iter().sum();
            let fixed = |weight: f64| {
                let scaled = weight / sum * f64::from(1 << PRECISION);
                (scaled + 0.5f64.copysign(scaled)) as i32
            };
            Taps {
                first,
                weights: raw.into_iter().map(fixed).collect(),
            }
        })
        .collect()
}

/// Weighs the samples of one colour, rounds and clips.
fn weigh(taps: &Taps, sample: impl Fn(usize) -> u8) -> u8 {
    let sum: i32 = taps
        .weights
        .iter()
        .enumerate()
        .map(|(i, &weight)| weight * i32::from(sample(taps.first + i)))
        .sum();
    ((sum + (1 << (PRECISION - 1))) >> PRECISION).clamp(0, 255) as u8
}

/// Resizes as `PIL.Image.resize(size, LANCZOS)` does an RGB picture: in 8 bits, rows first and
/// then columns with 8 bits between, weights in the same fixed-point numbers, the kernel widened
/// for shrinking. On the pictures of the tests, made with Pillow, every byte is the same; where a
/// platform's `sin` differs in its last bit, a sample could differ by 1/255.
///
/// # Panics
/// If `width` or `height` is 0, or the picture is empty.
pub fn resize_lanczos(image: &Image, width: usize, height: usize) -> Image {
    assert!(width > 0 && height > 0 && !image.rgb.is_empty());
    let mut bytes: Vec<u8> = image.rgb.iter().map(|&v| to_u8(v)).collect();
    if width != image.width {
        let taps = taps(image.width, width);
        bytes = bytes
            .chunks_exact(image.width * 3)
            .flat_map(|row| {
                let taps = taps.iter();
                taps.flat_map(move |t| [0, 1, 2].map(|c| weigh(t, |x| row[x * 3 + c])))
            })
            .collect();
    }
    if height != image.height {
        let taps = taps(image.height, height);
        let stride = width * 3;
        bytes = taps
            .iter()
            .flat_map(|t| {
                let bytes = &bytes;
                (0..stride).map(move |at| weigh(t, |y| bytes[y * stride + at]))
            })
            .collect();
    }
    Image {
        width,
        height,
        rgb: bytes.iter().map(|&v| f32::from(v) / 255.0).collect(),
    }
}

/// Four samples and weights of one output sample.
fn cubic(input: usize, output: usize) -> Vec<[(usize, f32); 4]> {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let scale = input as f32 / output as f32;
    (0..output)
        .map(|at| {
            let place = scale * (at as f32 + 0.5) - 0.5;
            let t = place - place.floor();
            let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
            std::array::from_fn(|i| {
                let x = place.floor() as isize + i as isize - 1;
                (x.clamp(0, input as isize - 1) as usize, weights[i])
            })
        })
        .collect()
}

/// Resizes as `torch.nn.functional.interpolate(mode="bicubic", align_corners=False,
/// antialias=False)` does: Keys' kernel with a = -0.75 over four by four samples, whatever the
/// scale, in f32, to rounding. As there the result is not clipped: it can pass 0..=1 at edges.
///
/// # Panics
/// If `width` or `height` is 0, or the picture is empty.
pub fn resize_bicubic(image: &Image, width: usize, height: usize) -> Image {
    assert!(width > 0 && height > 0 && !image.rgb.is_empty());
    let (columns, rows) = (cubic(image.width, width), cubic(image.height, height));
    let mut rgb = Vec::with_capacity(width * height * 3);
    for row in &rows {
        for column in &columns {
            for c in 0..3 {
                let along = |y: usize| -> f32 {
                    let at = |x: usize| image.rgb[(y * image.width + x) * 3 + c];
                    column.iter().map(|&(x, weight)| at(x) * weight).sum()
                };
                rgb.push(row.iter().map(|&(y, weight)| along(y) * weight).sum());
            }
        }
    }
    Image { width, height, rgb }
}

/// The least size of the same shape that covers `width` x `height` pixels, rounded as Python
/// does (halves to even): what to resize to before [`centre_crop`].
pub fn cover_size(image: &Image, width: usize, height: usize) -> (usize, usize) {
    let (w, h) = (image.width as f64, image.height as f64);
    let scale = (width as f64 / w).max(height as f64 / h);
    let side = |side: f64, least: usize| ((side * scale).round_ties_even() as usize).max(least);
    (side(w, width), side(h, height))
}

/// The middle `width` x `height` pixels; where the margins cannot be equal, the right and lower
/// ones are larger. `None` if the picture is smaller.
pub fn centre_crop(image: &Image, width: usize, height: usize) -> Option<Image> {
    let left = image.width.checked_sub(width)? / 2;
    let top = image.height.checked_sub(height)? / 2;
    let rows = (top..top + height).flat_map(|y| {
        let start = (y * image.width + left) * 3;
        &image.rgb[start..start + width * 3]
    });
    Some(Image {
        width,
        height,
        rgb: rows.copied().collect(),
    })
}
