//! The way from a path and options to a writer of that format.

use std::path::{Path, PathBuf};

use crate::av1::Av1Sink;
use crate::error::{Error, Result};
use crate::ffmpeg::{FfmpegSink, program};
use crate::frame::Frame;
use crate::gif::GifSink;
use crate::matroska::MatroskaMuxer;
use crate::mp4::Mp4Muxer;
use crate::options::{Codec, Options};
use crate::sequence::{self, SequenceSink, Still};
use crate::temp::TempFile;
use crate::webp::WebpSink;

/// Takes the frames of one clip in order.
///
/// After an error of [`Sink::write`] nothing more can be written; drop the sink, which removes
/// what it wrote.
pub trait Sink: Send {
    /// Appends a frame.
    ///
    /// # Errors
    /// A frame of another size than the clip's; a full disk; an encoder's failure.
    fn write(&mut self, frame: &Frame) -> Result<()>;

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// As [`Sink::write`]; also when no frame was written, or an earlier write failed.
    fn finish(self: Box<Self>) -> Result<Written>;
}

/// What a finished clip left on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file; for a sequence its folder, or the folder that holds the files of a pattern.
    pub path: PathBuf,
    /// All files, in the order of the frames.
    pub files: Vec<PathBuf>,
    /// Their size together.
    pub bytes: u64,
    /// Number of frames written.
    pub frames: usize,
}

impl Written {
    /// One file; [`create`]'s guard fills in the number of frames.
    pub(crate) fn file(path: PathBuf, bytes: u64) -> Self {
        Self {
            files: vec![path.clone()],
            path,
            bytes,
            frames: 0,
        }
    }
}

/// Opens a writer for the format that `path` and [`Options::codec`] ask for (see the table at the
/// head of this crate). The extension's case does not matter.
///
/// **Sequences.** Frames are numbered from 1.
/// - `clip/` (a slash at the end, or a folder that exists): `clip/frame_00001.png`, …
/// - `clip.png` or `clip.exr` with more than one frame, or an unknown number: the folder `clip`
///   as above. With [`Options::frames`] = 1 it is that one file.
/// - `clip_%05d.png`, `clip/%d.exr`: files of that pattern in a folder that exists.
///
/// A folder is written under a temporary name and renamed when it is whole. If it exists it must
/// be empty, or `overwrite` be set: then the new frames replace old ones of the same names one by
/// one, older frames beyond the last are removed, other files stay. The files of a pattern appear
/// one after the other, each of them whole, and stay if the sink is dropped.
///
/// **H.264, H.265 and ProRes** are made by ffmpeg, looked for on the PATH or at
/// `KINORA_FFMPEG`.
///
/// # Errors
/// An unknown extension; a codec, size or number of bits that the format cannot carry; a missing
/// or unwritable folder; an existing file without [`Options::overwrite`]; no ffmpeg where it is
/// needed.
pub fn create(path: &Path, options: &Options) -> Result<Box<dyn Sink>> {
    options.check(path)?;
    Ok(Box::new(Guard {
        inner: Some(open(path, options)?),
        path: path.to_owned(),
        width: options.width,
        height: options.height,
        frames: 0,
    }))
}

fn open(path: &Path, options: &Options) -> Result<Box<dyn Sink>> {
    let extension = extension(path);
    let still = match extension.as_str() {
        "exr" => Some(Still::exr(path, options)?),
        "png" => Some(Still::png(path, options)?),
        "mp4" | "m4v" | "webm" | "mkv" | "mov" | "webp" | "gif" => None,
        _ if sequence::is_folder(path) => Some(Still::png(path, options)?),
        _ => None,
    };
    if let Some(still) = still {
        no_codec(path, options)?;
        return Ok(Box::new(SequenceSink::new(path, options, still)?));
    }
    let native = matches!(options.codec, None | Some(Codec::Av1));
    Ok(match extension.as_str() {
        "mp4" | "m4v" if native => {
            Av1Sink::check(path, options)?;
            let muxer = Mp4Muxer::new(TempFile::create(path, options.overwrite)?, options)
                .map_err(Error::io(path, "write the head of the file"))?;
            Box::new(Av1Sink::new(path, options, Box::new(muxer))?)
        }
        "webm" | "mkv" if native => {
            Av1Sink::check(path, options)?;
            let file = TempFile::create(path, options.overwrite)?;
            let muxer = MatroskaMuxer::new(file, options, extension == "webm");
            Box::new(Av1Sink::new(path, options, Box::new(muxer))?)
        }
        "mp4" | "m4v" | "mkv" | "mov" => Box::new(FfmpegSink::new(path, options, &extension, &program())?),
        "webm" => {
            return Err(Error::unsupported(
                path,
                "WebM cannot hold that codec",
                "leave the codec out to get AV1, or write .mp4 or .mkv",
            ));
        }
        "webp" => {
            no_codec(path, options)?;
            Box::new(WebpSink::new(path, options)?)
        }
        "gif" => {
            no_codec(path, options)?;
            Box::new(GifSink::new(path, options)?)
        }
        other => {
            let problem = if other.is_empty() {
                "the name has no extension to tell the format".to_owned()
            } else {
                format!("there is no format for .{other}")
            };
            return Err(Error::unsupported(
                path,
                problem,
                "use .mp4, .webm, .mkv, .mov, .webp, .gif, .png, .exr, or a folder's name with \
                 a slash at its end for a PNG sequence",
            ));
        }
    })
}

fn no_codec(path: &Path, options: &Options) -> Result<()> {
    if options.codec.is_none() {
        return Ok(());
    }
    Err(Error::unsupported(
        path,
        "this format has no choice of codecs",
        "leave the codec out, or write .mp4, .mkv or .mov",
    ))
}

/// The extension in lower case; empty if there is none, or the path is a folder by its slash.
pub(crate) fn extension(path: &Path) -> String {
    if sequence::ends_with_separator(path) {
        return String::new();
    }
    path.extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default()
}

/// What all formats have in common: frames are checked and counted, and nothing is finished after
/// a failure.
struct Guard {
    /// `None` after a failure, whose temporary files go at once.
    inner: Option<Box<dyn Sink>>,
    path: PathBuf,
    width: usize,
    height: usize,
    frames: usize,
}

impl Guard {
    fn failed(&self) -> Error {
        Error::Incomplete {
            path: self.path.clone(),
            problem: "an earlier frame could not be written",
        }
    }
}

impl Sink for Guard {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        let mut inner = self.inner.take().ok_or_else(|| self.failed())?;
        let samples = self.width * self.height * 3;
        if (frame.width, frame.height) != (self.width, self.height) || frame.rgb.len() != samples {
            return Err(Error::FrameSize {
                path: self.path.clone(),
                index: self.frames,
                width: frame.width,
                height: frame.height,
                samples: frame.rgb.len(),
                expected_width: self.width,
                expected_height: self.height,
            });
        }
        inner.write(frame)?;
        self.inner = Some(inner);
        self.frames += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Written> {
        let inner = self.inner.take().ok_or_else(|| self.failed())?;
        if self.frames == 0 {
            return Err(Error::Incomplete {
                path: self.path,
                problem: "no frame was written",
            });
        }
        let written = Written {
            frames: self.frames,
            ..inner.finish()?
        };
        tracing::debug!(path = %written.path.display(), bytes = written.bytes, "written");
        Ok(written)
    }
}
