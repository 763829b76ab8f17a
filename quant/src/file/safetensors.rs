//! One safetensors file, mapped into memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::header::{Entry, Header, parse_header};
use crate::{Error, Listing, Result, Tensor, TensorInfo, Weights};

/// The name of the format in error messages.
const KIND: &str = "safetensors file";

/// A safetensors file, mapped read-only. Its header has been checked; its tensors are read when they are used.
/// See the [module documentation](super) on files that change while they are mapped.
#[derive(Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    map: Mmap,
    header: Header,
}

impl SafetensorsFile {
    /// Maps the file at `path` and checks its header.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Pickle`] and [`Error::UnsupportedFormat`] for formats that are recognised but not
    /// read; [`Error::Malformed`] for a header that breaks a rule of [`parse_header`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // Asked before opening, because opening a pipe would wait for a writer.
        let meta = std::fs::metadata(path).map_err(Error::io(path, "find it"))?;
        if !meta.is_file() {
            return Err(malformed(path, "it is not a regular file".to_owned()));
        }
        let mut file = File::open(path).map_err(Error::io(path, "open it"))?;
        refuse_others(path, &mut file)?;
        // SAFETY: the mapping is private to this value and read-only. That nobody changes the file meanwhile cannot
        // be enforced; the module documentation asks for it.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "map it into memory"))?;
        let header = parse_header(&map, map.len() as u64).map_err(|reason| malformed(path, reason))?;
        Ok(Self {
            path: path.to_owned(),
            map,
            header,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors of the file by name, with the ranges of their bytes.
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.header.entries
    }
}

fn malformed(path: &Path, reason: String) -> Error {
    Error::Malformed {
        path: path.to_owned(),
        kind: KIND,
        reason,
    }
}

/// Recognises what people pass by mistake, so that the error can say what to do instead.
fn refuse_others(path: &Path, file: &mut File) -> Result<()> {
    let mut start = Vec::with_capacity(32);
    file.take(32)
        .read_to_end(&mut start)
        .map_err(Error::io(path, "read it"))?;
    // A header's length may begin with any bytes, those of another format's signature included; its first bracket
    // settles the matter.
    if start.get(8) == Some(&b'{') {
        return Ok(());
    }
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    match start.as_slice() {
        [b'G', b'G', b'U', b'F', ..] => Err(Error::UnsupportedFormat {
            path: path.to_owned(),
            format: "GGUF",
        }),
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => Err(Error::Pickle { path: path.to_owned() }),
        s if s.starts_with(b"version https://git-lfs") => Err(malformed(
            path,
            "it is a git-lfs pointer, not the file itself; run `git lfs pull` in its folder, or download the file"
                .to_owned(),
        )),
        s if s.trim_ascii_start().starts_with(b"<") => Err(malformed(
            path,
            "it is a web page, saved in place of the file; the download may need an account or another address"
                .to_owned(),
        )),
        _ if matches!(extension.as_str(), "pth" | "pt" | "ckpt" | "bin") => {
            Err(Error::Pickle { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

impl Weights for SafetensorsFile {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.header.entries.get(name)?.info()
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        let entry = self.header.entries.get(name).ok_or_else(|| self.missing(name))?;
        let info = entry.info().ok_or_else(|| self.missing(name))?;
        // The header's check has put the range inside the mapping, so it fits in a `usize`.
        let bytes = &self.map[entry.range.start as usize..entry.range.end as usize];
        Ok(Tensor {
            info,
            data: bytes.into(),
        })
    }

    fn names(&self) -> Vec<String> {
        self.header.entries.keys().cloned().collect()
    }

    fn origin(&self) -> String {
        format!("file {}", self.path.display())
    }

    fn missing(&self, name: &str) -> Error {
        let (origin, name) = (self.origin(), name.to_owned());
        match self.header.entries.get(&name) {
            Some(entry) if entry.dtype.is_none() => Error::UnsupportedType {
                origin,
                name,
                type_name: entry.type_name.clone(),
            },
            _ => Error::MissingTensor { origin, name },
        }
    }

    fn listing(&self, name: &str) -> Option<Listing> {
        self.header.entries.get(name).map(Entry::listing)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.header.metadata.clone()
    }
}
