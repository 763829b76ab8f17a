//! Frames to the file, and pictures to the model.

use std::path::Path;

use anyhow::Context;
use kinora_media::{
    Image, Options, Rational, Sink, centre_crop, cover_size, read_image, resize_bicubic, resize_lanczos,
};
use kinora_models::pipeline::Settings;
use kinora_models::wan::{Conditioning, Model};

use super::args::FileArgs;
use super::settings::About;

/// Opens the output: an existing file or an unwritable folder is found before anything is computed.
pub(super) fn create(path: &Path, about: &About, file: &FileArgs, force: bool) -> anyhow::Result<Box<dyn Sink>> {
    let settings = &about.settings;
    let fps = Rational::from_f64(settings.fps).with_context(|| format!("--fps: {} cannot be written", settings.fps))?;
    let mut options = Options::new(settings.width, settings.height, fps);
    options.frames = Some(settings.frames);
    options.metadata = about.metadata();
    options.overwrite = force;
    options.quality = file.quality;
    options.codec = file.codec.map(Into::into);
    options.bits = file.bits;
    Ok(kinora_media::create(path, &options)?)
}

/// The picture at the clip's size, `[height, width, 3]` in -1 to 1: scaled to cover it, then cut from the middle.
pub(super) fn picture(path: &Path, settings: &Settings, model: &Model) -> anyhow::Result<Vec<f32>> {
    let image = read_image(path)?;
    let (width, height) = (settings.width, settings.height);
    let fitted: Image = if (image.width, image.height) == (width, height) {
        image
    } else {
        let (w, h) = cover_size(&image, width, height);
        // The official code scales TI2V's picture with Lanczos and the others' with bicubic weights.
        let scaled = match model.conditioning {
            Conditioning::FirstFrame => resize_lanczos(&image, w, h),
            _ => resize_bicubic(&image, w, h),
        };
        centre_crop(&scaled, width, height).context("the picture cannot be cut to the clip's size")?
    };
    Ok(fitted.rgb.iter().map(|v| v * 2.0 - 1.0).collect())
}
