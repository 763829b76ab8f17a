//! The RIFF container and its frames.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::read::chunks;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::options::{Options, Rational};
use crate::sink::{Sink, Written};
use crate::temp::TempFile;

/// VP8X: has animation; has XMP.
const ANIMATED: u8 = 0x02;
const HAS_XMP: u8 = 0x04;
/// The longest side of a VP8 or VP8L picture.
const MAX_SIDE: usize = 16383;

/// Frames to an animation that repeats for ever.
pub(crate) struct WebpSink {
    file: TempFile,
    path: PathBuf,
    fps: Rational,
    quality: u8,
    xmp: Option<String>,
    bytes: Vec<u8>,
    frames: u64,
}

impl WebpSink {
    /// Writes the head.
    pub(crate) fn new(path: &Path, options: &Options) -> Result<Self> {
        options.bits_of(path, 8, &[8])?;
        options.sides_within(path, "WebP", 1..=MAX_SIDE)?;
        // A frame's length has 24 bits.
        if options.fps.start(1, 1000) >= 1 << 24 {
            return Err(Error::unsupported(
                path,
                format!("{} frames a second", options.fps),
                "WebP needs more than one frame in four hours",
            ));
        }
        let xmp = (!options.metadata.is_empty()).then(|| xmp(&options.metadata));
        let mut file = TempFile::create(path, options.overwrite)?;
        let flags = ANIMATED | if xmp.is_some() { HAS_XMP } else { 0 };
        let mut vp8x = vec![flags, 0, 0, 0];
        vp8x.extend(u24(options.width as u64 - 1));
        vp8x.extend(u24(options.height as u64 - 1));
        let anim = [0, 0, 0, 255, 0, 0]; // black, opaque; for ever
        let mut head = b"RIFF\0\0\0\0WEBP".to_vec();
        head.extend(chunk(b"VP8X", &vp8x));
        head.extend(chunk(b"ANIM", &anim));
        file.write_all(&head)
            .map_err(Error::io(path, "write the head of the file"))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            fps: options.fps,
            quality: options.quality,
            xmp,
            bytes: Vec::new(),
            frames: 0,
        })
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(xmp) = &self.xmp {
            self.file.write_all(&chunk(b"XMP ", xmp.as_bytes()))?;
        }
        let size = u32::try_from(self.file.stream_position()? - 8)
            .map_err(|_| io::Error::other("a WebP file cannot pass 4 GiB"))?;
        self.file.seek(SeekFrom::Start(4))?;
        self.file.write_all(&size.to_le_bytes())
    }
}

impl Sink for WebpSink {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        let failed = |message: String| Error::Encoder {
            path: self.path.clone(),
            encoder: "WebP (libwebp)",
            message,
        };
        frame.bytes_into(&mut self.bytes);
        let (width, height) = (frame.width as u64, frame.height as u64);
        let encoder = webp::Encoder::from_rgb(&self.bytes, width as u32, height as u32);
        let lossless = self.quality == 100;
        // For a lossless picture the quality is the effort: libwebp's default.
        let quality = if lossless { 75 } else { self.quality };
        let still = encoder
            .encode_simple(lossless, quality.into())
            .map_err(|e| failed(format!("{e:?}")))?;
        let (kind, picture) = still
            .get(12..)
            .and_then(|body| chunks(body).find(|(kind, _)| kind == b"VP8 " || kind == b"VP8L"))
            .ok_or_else(|| failed("it gave no picture".into()))?;
        let (start, end) = (self.fps.start(self.frames, 1000), self.fps.start(self.frames + 1, 1000));
        let mut body = [0; 6].to_vec(); // at the origin
        body.extend(u24(width - 1));
        body.extend(u24(height - 1));
        body.extend(u24(end - start));
        body.push(0x02); // replaces the last one, which stays
        body.extend(chunk(&kind, picture));
        self.file
            .write_all(&chunk(b"ANMF", &body))
            .map_err(Error::io(&self.path, "write the frames"))?;
        self.frames += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Written> {
        self.end().map_err(Error::io(&self.path, "write the end of the file"))?;
        Ok(Written::file(self.path, self.file.commit()?))
    }
}

fn u24(value: u64) -> [u8; 3] {
    let [a, b, c, ..] = value.to_le_bytes();
    [a, b, c]
}

/// A RIFF chunk, padded to an even size.
fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = kind.to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend_from_slice(body);
    if body.len() % 2 == 1 {
        out.push(0);
    }
    out
}

/// An XMP packet with each text as a property of our own name space, and the prompt as the
/// description that picture viewers show.
fn xmp(metadata: &BTreeMap<String, String>) -> String {
    let mut out = String::from(concat!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n",
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n",
        "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n",
        "<rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" ",
        "xmlns:kinora=\"https://kinora.org/ns/1.0/\">\n",
    ));
    // Writing into a String cannot fail.
    if let Some(prompt) = metadata.get("prompt") {
        let _ = writeln!(
            out,
            "<dc:description><rdf:Alt><rdf:li xml:lang=\"x-default\">{}</rdf:li></rdf:Alt>\
             </dc:description>",
            escape(prompt)
        );
    }
    for (key, value) in metadata {
        let _ = writeln!(out, "<kinora:{key}>{}</kinora:{key}>", escape(value));
    }
    out.push_str("</rdf:Description>\n</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"w\"?>");
    out
}

/// `\r` too, which XML readers would turn into a line feed.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\r', "&#13;")
}
