//! Frames side by side, for documents.

use std::path::Path;

use crate::error::{Error, Result};
use crate::frame::{Frame, Image};
use crate::sequence;

/// Pixels between frames and around them.
const GAP: usize = 4;
/// The grey between them.
const GREY: f32 = 0.12;

/// Lays frames out in rows of `columns` (0 counts as 1), from the left and from the top, with a
/// dark gap of 4 pixels. Frames may differ in size: each stands in the upper left corner of a cell
/// that holds the largest. `None` without frames.
pub fn contact_sheet(frames: &[Frame], columns: usize) -> Option<Image> {
    let columns = columns.clamp(1, frames.len().max(1));
    let cell_width = frames.iter().map(|f| f.width).max()? + GAP;
    let cell_height = frames.iter().map(|f| f.height).max()? + GAP;
    let width = columns * cell_width + GAP;
    let height = frames.len().div_ceil(columns) * cell_height + GAP;
    let mut rgb = vec![GREY; width * height * 3];
    for (index, frame) in frames.iter().enumerate() {
        let left = index % columns * cell_width + GAP;
        let top = index / columns * cell_height + GAP;
        for (y, row) in frame.rgb.chunks_exact(frame.width * 3).enumerate() {
            let start = ((top + y) * width + left) * 3;
            rgb[start..start + row.len()].copy_from_slice(row);
        }
    }
    Some(Image { width, height, rgb })
}

/// Writes a picture as a PNG of 8 bits. A file of that name is replaced only if `overwrite` is
/// set; as with [`crate::create`] it appears only when it is whole.
///
/// # Errors
/// The file exists, or cannot be written; the picture is empty.
pub fn save_png(path: &Path, image: &Image, overwrite: bool) -> Result<()> {
    if image.rgb.is_empty() || image.rgb.len() != image.width * image.height * 3 {
        return Err(Error::unsupported(
            path,
            format!(
                "a picture of {}x{} pixels with {} samples",
                image.width,
                image.height,
                image.rgb.len()
            ),
            "give one with 3 samples a pixel",
        ));
    }
    sequence::save_png(path, &image.frame(), overwrite)
}
