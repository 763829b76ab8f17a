//! Animated GIF: a palette for each frame, error diffusion, true delays.

mod quantise;

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::metadata::{MAX_METADATA, Texts, text};
use crate::options::{Options, Rational};
use crate::sink::{Sink, Written};
use crate::temp::TempFile;
use quantise::Quantiser;

/// Comment extension.
const COMMENT: u8 = 0xfe;

/// Frames to an animation that repeats for ever.
pub(crate) struct GifSink {
    encoder: gif::Encoder<TempFile>,
    path: PathBuf,
    fps: Rational,
    quantiser: Quantiser,
    bytes: Vec<u8>,
    frames: u64,
}

fn io_error(error: gif::EncodingError) -> io::Error {
    match error {
        gif::EncodingError::Io(e) => e,
        other => io::Error::other(other.to_string()),
    }
}

impl GifSink {
    /// Writes the head and the metadata: one comment that holds them as a JSON object.
    pub(crate) fn new(path: &Path, options: &Options) -> Result<Self> {
        options.bits_of(path, 8, &[8])?;
        options.sides_within(path, "GIF", 1..=65535)?;
        let fps = options.fps.as_f64();
        // Delays are whole hundredths; browsers play 0 and 1 as 10.
        if !(0.01..=50.0).contains(&fps) {
            return Err(Error::unsupported(
                path,
                format!("{} frames a second", options.fps),
                "GIF plays 0.01 to 50; choose another rate or format",
            ));
        }
        let file = TempFile::create(path, options.overwrite)?;
        let head = || -> std::result::Result<_, gif::EncodingError> {
            let (width, height) = (options.width as u16, options.height as u16);
            let mut encoder = gif::Encoder::new(file, width, height, &[])?;
            encoder.set_repeat(gif::Repeat::Infinite)?;
            if !options.metadata.is_empty() {
                let json = serde_json::to_vec(&options.metadata).map_err(io::Error::other)?;
                encoder.write_raw_extension(gif::AnyExtension(COMMENT), &[&json])?;
            }
            Ok(encoder)
        };
        let encoder = head().map_err(|e| Error::io(path, "write the head of the file")(io_error(e)))?;
        Ok(Self {
            encoder,
            path: path.to_owned(),
            fps: options.fps,
            quantiser: Quantiser::default(),
            bytes: Vec::new(),
            frames: 0,
        })
    }
}

impl Sink for GifSink {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        frame.bytes_into(&mut self.bytes);
        let (palette, indices) = self.quantiser.quantise(&self.bytes, frame.width);
        let start = |n| self.fps.start(n, 100);
        let delay = start(self.frames + 1) - start(self.frames);
        let picture = gif::Frame {
            delay: delay as u16, // below 10001, by the rate
            dispose: gif::DisposalMethod::Keep,
            width: frame.width as u16,
            height: frame.height as u16,
            palette: Some(palette),
            buffer: indices.into(),
            ..gif::Frame::default()
        };
        self.encoder
            .write_frame(&picture)
            .map_err(|e| Error::io(&self.path, "write the frames")(io_error(e)))?;
        self.frames += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        let path = self.path;
        let end = |e| Error::io(&path, "write the end of the file")(e);
        let mut file = self.encoder.into_inner().map_err(|e| end(io_error(e)))?;
        file.flush().map_err(end)?;
        let bytes = file.commit()?;
        Ok(Written::file(path, bytes))
    }
}

/// The metadata in the comments before the first picture: ours as JSON, another program's comment
/// under `comment`.
pub(crate) fn read_metadata(file: &mut impl Read) -> std::result::Result<Texts, String> {
    let mut file = BufReader::new(file);
    let mut found = Texts::new();
    let mut total = 0;
    let mut bytes = |n: usize| -> std::result::Result<Vec<u8>, String> {
        total += n as u64;
        if total > MAX_METADATA {
            return Err("its head is longer than any sensible one".into());
        }
        let mut buffer = vec![0; n];
        file.read_exact(&mut buffer).map_err(|e| e.to_string())?;
        Ok(buffer)
    };
    let head = bytes(13)?;
    if head[10] & 0x80 != 0 {
        bytes(3 * (2 << (head[10] & 7)))?;
    }
    while bytes(1)?[0] == 0x21 {
        let kind = bytes(1)?[0];
        let mut body = Vec::new();
        loop {
            let length = bytes(1)?[0];
            if length == 0 {
                break;
            }
            body.extend(bytes(length.into())?);
        }
        if kind == COMMENT {
            match serde_json::from_slice::<Texts>(&body) {
                Ok(ours) => found.extend(ours),
                Err(_) => {
                    found.insert("comment".into(), text(&body));
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_end_in_an_error() {
        assert!(read_metadata(&mut &b"GIF89a"[..]).is_err());
        let mut cut = b"GIF89a\x01\0\x01\0\0\0\0!\xfe\x05hello".to_vec();
        assert!(read_metadata(&mut &cut[..]).is_err());
        cut.extend(b"\0;");
        assert_eq!(read_metadata(&mut &cut[..]).unwrap()["comment"], "hello");
    }
}
