//! Pictures for image-to-video.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use crate::error::{Error, Result};
use crate::frame::Image;

/// The largest picture that is read, in pixels: as f32 it takes 1.2 GB.
const MAX_PIXELS: u64 = 100_000_000;
/// The longest side, in pixels.
const MAX_SIDE: u32 = 32_768;
/// What a decoder may allocate, in bytes: 100 megapixels of four 16-bit samples, and something.
const MAX_ALLOC: u64 = 1 << 30;

/// Reads a PNG, JPEG or WebP picture (the first frame, if it moves). The kind is told by the
/// content.
///
/// The orientation in its EXIF data is applied. A transparent pixel lies over black: its colour is
/// multiplied by alpha, as the sRGB values are. Grey becomes RGB, 16 bits keep their precision,
/// colour profiles are not applied: the samples are taken as sRGB.
///
/// # Errors
/// The file cannot be read, is of another kind, is damaged, or is larger than 100 megapixels or
/// 32768 pixels on a side, which is refused before it is decoded.
pub fn read_image(path: &Path) -> Result<Image> {
    let open = Error::io(path, "open the picture");
    // Not by the path: its extension would count where the content tells nothing.
    let mut reader = File::open(path)
        .and_then(|file| ImageReader::new(BufReader::new(file)).with_guessed_format())
        .map_err(open)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let failed = |e| failure(path, e);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(too_large(path, &format!("{width}x{height} pixels")));
    }
    let orientation = decoder.orientation().map_err(failed)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let rgb = if picture.color().has_alpha() {
        let rgba = picture.into_rgba32f().into_raw();
        let pixels = rgba.chunks_exact(4);
        pixels.flat_map(|p| [p[0] * p[3], p[1] * p[3], p[2] * p[3]]).collect()
    } else {
        picture.into_rgb32f().into_raw()
    };
    Ok(Image { width, height, rgb })
}

fn too_large(path: &Path, what: &str) -> Error {
    Error::unsupported(
        path,
        format!("the picture is too large ({what})"),
        "scale it down first; more than the clip's size serves nothing",
    )
}

fn failure(path: &Path, error: ImageError) -> Error {
    match error {
        ImageError::IoError(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::io(path, "read the picture")(e)
        }
        ImageError::Limits(e) => too_large(path, &e.to_string()),
        ImageError::Unsupported(e) => Error::unsupported(
            path,
            format!("the picture cannot be read ({e})"),
            "give a PNG, JPEG or WebP",
        ),
        other => Error::corrupt(path, other),
    }
}
