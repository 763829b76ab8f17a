//! Metadata back out of files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::{gif, matroska, mp4, sequence, webp};

/// Texts by key.
pub(crate) type Texts = BTreeMap<String, String>;

/// More bytes than this are not read for metadata (64 MiB): a size from a file is a claim.
pub(crate) const MAX_METADATA: u64 = 64 << 20;

/// Bytes as a text, without the zeros that some programs put behind it.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

/// The texts that a file carries: those that were given as
/// [`Options::metadata`](crate::Options::metadata), and what else its format holds in the same
/// place, such as `encoder`. The format is told by the content. Of a sequence, given as a folder
/// or a pattern, the first frame is read.
///
/// # Errors
/// The file cannot be read, is of a format that is not written here, or is damaged.
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    let path = first_file(path)?;
    let path = path.as_path();
    let file = File::open(path).map_err(Error::io(path, "open the file"))?;
    let mut file = BufReader::new(file);
    let mut magic = Vec::new();
    file.by_ref()
        .take(12)
        .read_to_end(&mut magic)
        .and_then(|_| file.rewind())
        .map_err(Error::io(path, "read the file"))?;
    let found = match magic.as_slice() {
        [0x1A, 0x45, 0xDF, 0xA3, ..] => matroska::read_metadata(&mut file),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => webp::read_metadata(&mut file),
        [b'G', b'I', b'F', b'8', ..] => gif::read_metadata(&mut file),
        [0x89, b'P', b'N', b'G', ..] => sequence::read_png(file),
        [0x76, 0x2f, 0x31, 0x01, ..] => sequence::read_exr(file),
        [_, _, _, _, kind @ ..]
            if [b"ftyp", b"moov", b"wide", b"mdat"]
                .iter()
                .any(|k| kind.starts_with(*k)) =>
        {
            mp4::read_metadata(&mut file)
        }
        _ => Err("it is none of MP4, WebM, WebP, GIF, PNG and OpenEXR".into()),
    };
    found.map_err(|problem| Error::corrupt(path, problem))
}

/// The file to look into: the first frame of a folder or pattern.
fn first_file(path: &Path) -> Result<PathBuf> {
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(Error::io(path, "read the folder"))?;
        let first = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|file| matches!(crate::sink::extension(file).as_str(), "png" | "exr"))
            .min();
        return first.ok_or_else(|| Error::corrupt(path, "the folder holds no .png or .exr frames"));
    }
    let pattern = sequence::Pattern::of(path);
    Ok(pattern.map_or_else(|| path.to_owned(), |pattern| pattern.file(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strange_files_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        let missing = read_metadata(&path).unwrap_err().to_string();
        assert!(missing.contains("clip.mp4") && missing.contains("check the name"));
        for bytes in [&b""[..], b"hello, world", b"\x89PNG", b"\x76\x2f\x31\x01", b"GIF89a"] {
            fs::write(&path, bytes).unwrap();
            let error = read_metadata(&path).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        }
        let empty = read_metadata(folder.path()).unwrap_err().to_string();
        assert!(empty.contains("no .png"), "{empty}");
    }
}
