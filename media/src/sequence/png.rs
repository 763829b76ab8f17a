//! PNG: sRGB, texts as iTXt.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Seek, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::frame::{Frame, to_u16};
use crate::metadata::Texts;
use crate::temp::TempFile;

/// Writes one picture of 8 or 16 bits a sample. Every frame carries the metadata, so that one
/// copied away still tells where it came from.
fn encode(
    out: impl Write,
    frame: &Frame,
    bits: u8,
    metadata: &BTreeMap<String, String>,
) -> std::result::Result<(), png::EncodingError> {
    let mut encoder = png::Encoder::new(out, frame.width as u32, frame.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    for (key, value) in metadata {
        encoder.add_itxt_chunk(key.clone(), value.clone())?;
    }
    let mut bytes = Vec::new();
    if bits == 16 {
        encoder.set_depth(png::BitDepth::Sixteen);
        bytes.extend(frame.rgb.iter().flat_map(|&v| to_u16(v).to_be_bytes()));
    } else {
        encoder.set_depth(png::BitDepth::Eight);
        frame.bytes_into(&mut bytes);
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&bytes)?;
    writer.finish()
}

/// [`encode`], with the system's errors as they are (the `png` crate's own conversion hides their
/// kind, by which a full disk is known).
pub(super) fn write(out: impl Write, frame: &Frame, bits: u8, metadata: &BTreeMap<String, String>) -> io::Result<()> {
    encode(out, frame, bits, metadata).map_err(|e| match e {
        png::EncodingError::IoError(e) => e,
        other => io::Error::other(other),
    })
}

/// Writes one picture of 8 bits under its name.
pub(crate) fn save(path: &Path, frame: &Frame, overwrite: bool) -> Result<()> {
    let mut file = TempFile::create(path, overwrite)?;
    write(&mut file, frame, 8, &BTreeMap::new()).map_err(Error::io(path, "write the picture"))?;
    file.commit().map(|_| ())
}

/// All texts that stand before the picture.
pub(crate) fn read_metadata(file: impl BufRead + Seek) -> std::result::Result<Texts, String> {
    // The decoder's own limit (64 MiB) bounds compressed texts as well.
    let reader = png::Decoder::new(file).read_info().map_err(|e| e.to_string())?;
    let info = reader.info();
    let latin = info
        .uncompressed_latin1_text
        .iter()
        .map(|chunk| (chunk.keyword.clone(), chunk.text.clone()));
    let utf8 = info.utf8_text.iter().map(|chunk| {
        let text = chunk.get_text().map_err(|e| e.to_string())?;
        Ok((chunk.keyword.clone(), text))
    });
    latin.map(Ok).chain(utf8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_as_such() {
        let frame = Frame {
            width: 1,
            height: 1,
            rgb: &[0.0; 3],
        };
        let none: &mut [u8] = &mut [];
        assert!(write(none, &frame, 8, &BTreeMap::new()).is_err());
        #[cfg(target_os = "linux")]
        {
            let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
            let error = write(full, &frame, 8, &BTreeMap::new()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }
}
