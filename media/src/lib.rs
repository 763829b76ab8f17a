//! Frames to files, and images to frames.
//!
//! [`create`] opens a [`Sink`] that takes frames one at a time and writes a file whose format
//! follows from its name; [`read_metadata`] gets back what [`Options::metadata`] put there;
//! [`read_image`] reads a picture for image-to-video, [`contact_sheet`] lays frames out in a grid.
//!
//! | name | what is written | by |
//! |---|---|---|
//! | `clip.mp4` | AV1, 4:2:0 8 bit, BT.709 | rav1e, own muxer |
//! | `clip.webm`, `clip.mkv` | the same in Matroska | rav1e, own muxer |
//! | `clip.webp` | animated WebP, lossless at quality 100 | libwebp, own container |
//! | `clip.gif` | a palette for each frame, error diffusion | own quantiser, `gif` |
//! | `clip.png` (one frame) | a PNG, 8 or 16 bit | `png` |
//! | `clip.png` (more), `clip/`, `clip_%05d.png` | a sequence of them | `png` |
//! | the same with `.exr` | OpenEXR, linear light, half or f32 | `exr` |
//! | `clip.mp4`, `clip.mkv`, `clip.mov` with a [`Codec`] | H.264, H.265, ProRes | ffmpeg on the PATH |
//!
//! ```
//! use kinora_media::{Frame, Options, Rational, create, read_metadata};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("clip.gif");
//! let mut options = Options::new(64, 48, Rational::new(16, 1).unwrap());
//! options.metadata.insert("prompt".into(), "a grey fade".into());
//! let mut sink = create(&path, &options)?;
//! for t in 0..5 {
//!     let rgb = vec![t as f32 / 5.0; 64 * 48 * 3];
//!     sink.write(&Frame { width: 64, height: 48, rgb: &rgb })?;
//! }
//! let written = sink.finish()?;
//! assert_eq!(written.frames, 5);
//! assert_eq!(read_metadata(&path)?["prompt"], "a grey fade");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A file appears under its name only when it is whole: it is written as
//! `.NAME.kinora-tmp-PID.EXT` in the same folder, flushed to the disk and renamed by
//! [`Sink::finish`]. A sink that is dropped before takes its temporary file along. Memory does
//! not grow with the length of a clip (but for 4 bytes a frame in MP4's index): an encoder holds
//! its look-ahead of ten to twenty frames, everything else one frame.

mod av1;
mod color;
mod contact_sheet;
mod error;
mod ffmpeg;
mod frame;
mod gif;
mod image_in;
mod matroska;
mod metadata;
mod mp4;
mod options;
mod resize;
mod sequence;
mod sink;
mod temp;
mod webp;

pub use contact_sheet::{contact_sheet, save_png};
pub use error::{Error, Result};
pub use frame::{Frame, Image};
pub use image_in::read_image;
pub use metadata::read_metadata;
pub use options::{Codec, Options, Rational};
pub use resize::{centre_crop, cover_size, resize_bicubic, resize_lanczos};
pub use sink::{Sink, Written, create};
