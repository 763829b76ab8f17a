//! Which kind of file it is, told by its first bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// Formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whatever is not known to be another one.
    Safetensors,
    Gguf,
}

/// Opens the file at `path` and says what it is.
///
/// # Errors
/// [`Error::Io`]; [`Error::Malformed`] for what is not a file; [`Error::Pickle`] and [`Error::Malformed`] for what
/// people pass by mistake, with what to do instead.
pub(super) fn open(path: &Path) -> Result<(File, Kind)> {
    // Asked before opening, because opening a pipe would wait for a writer.
    let meta = std::fs::metadata(path).map_err(Error::io(path, "find it"))?;
    if !meta.is_file() {
        return Err(malformed(path, "it is not a regular file"));
    }
    let file = File::open(path).map_err(Error::io(path, "open it"))?;
    let kind = recognise(path, &file)?;
    Ok((file, kind))
}

fn malformed(path: &Path, reason: &str) -> Error {
    Error::Malformed {
        path: path.to_owned(),
        kind: "file of weights",
        reason: reason.to_owned(),
    }
}

fn recognise(path: &Path, file: &File) -> Result<Kind> {
    let mut start = Vec::with_capacity(32);
    file.take(32)
        .read_to_end(&mut start)
        .map_err(Error::io(path, "read it"))?;
    // A header's length may begin with any bytes, those of another format's signature included; its first bracket
    // settles the matter.
    if start.get(8) == Some(&b'{') {
        return Ok(Kind::Safetensors);
    }
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    match start.as_slice() {
        [b'G', b'G', b'U', b'F', ..] => Ok(Kind::Gguf),
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => Err(Error::Pickle { path: path.to_owned() }),
        s if s.starts_with(b"version https://git-lfs") => Err(malformed(
            path,
            "it is a git-lfs pointer, not the file itself; run `git lfs pull` in its folder, or download the file",
        )),
        s if s.trim_ascii_start().starts_with(b"<") => Err(malformed(
            path,
            "it is a web page, saved in place of the file; the download may need an account or another address",
        )),
        _ if matches!(extension.as_str(), "pth" | "pt" | "ckpt" | "bin") => {
            Err(Error::Pickle { path: path.to_owned() })
        }
        _ if extension == "gguf" => Err(malformed(
            path,
            "its name ends in .gguf, but it does not begin as GGUF files do; the download is damaged: fetch the file again",
        )),
        _ => Ok(Kind::Safetensors),
    }
}
