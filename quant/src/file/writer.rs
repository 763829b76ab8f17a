//! Safetensors files, written whole or not at all.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::header::{LENGTH_BYTES, MAX_HEADER, MAX_RANK};
use crate::{Error, Result, TensorInfo, Weights};

/// Writes `weights` to a safetensors file at `path`, one tensor at a time, so that memory stays bounded by the
/// largest of them. An existing file is replaced once the new one is complete. The same tensors and metadata give
/// the same bytes.
///
/// # Errors
/// Those of [`Writer`] and of reading `weights`; nothing is left at `path` then but what was there.
pub fn save(path: impl AsRef<Path>, weights: &dyn Weights, metadata: &BTreeMap<String, String>) -> Result<()> {
    let mut tensors = BTreeMap::new();
    for name in weights.names() {
        let info = weights.info(&name).ok_or_else(|| weights.missing(&name))?;
        tensors.insert(name, info);
    }
    let mut writer = Writer::create(path, &tensors, metadata)?;
    for name in tensors.keys() {
        writer.write(name, &weights.tensor(name)?.data)?;
    }
    writer.finish()
}

/// A safetensors file that is being written, under a temporary name in the folder of the final one.
/// Dropped before [`finish`](Self::finish), it removes what it has written.
///
/// Names in the header are sorted. The bytes lie by descending element size and then by name, so that every tensor
/// is aligned to its elements; the data begins at a multiple of 8.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    temp: PathBuf,
    /// `None` once the file is complete.
    file: Option<File>,
    /// Position in the file and length of what is still to be written of each tensor.
    open: BTreeMap<String, (u64, u64)>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Metadata(&'a BTreeMap<String, String>),
    Tensor {
        dtype: &'static str,
        shape: &'a [usize],
        data_offsets: [u64; 2],
    },
}

impl Writer {
    /// Begins a file for `tensors` and writes its header.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] where the file could not be read back: a size overflows, a tensor is
    /// called `__metadata__` or has too many dimensions, or the header would be too long.
    pub fn create(
        path: impl AsRef<Path>,
        tensors: &BTreeMap<String, TensorInfo>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let path = path.as_ref();
        let header = layout(tensors, metadata).map_err(|reason| unwritable(path, reason))?;
        let (temp, file) = create_temp(path)?;
        let mut writer = Self {
            path: path.to_owned(),
            temp,
            file: Some(file),
            open: header.places,
        };
        writer.put(0, &header.bytes)?;
        Ok(writer)
    }

    /// Writes the bytes of one tensor, little-endian and row-major. Tensors may come in any order, each once.
    ///
    /// # Errors
    /// [`Error::Io`] (a full disk among others); [`Error::Malformed`] for a name that was not announced or has been
    /// written, and for the wrong number of bytes.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        if let Some((_, length)) = self.open.get(name)
            && bytes.len() as u64 != *length
        {
            let reason = format!("tensor `{name}` takes {length} bytes, not {}", bytes.len());
            return Err(unwritable(&self.path, reason));
        }
        self.append(name, bytes)
    }

    /// Writes the next bytes of one tensor: [`write`](Self::write) in pieces, for tensors that are made as they are
    /// written.
    ///
    /// # Errors
    /// Those of [`write`](Self::write); [`Error::Malformed`] for more bytes than the tensor has.
    pub fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let Some((position, left)) = self.open.get_mut(name) else {
            return Err(unwritable(
                &self.path,
                format!("tensor `{name}` was not announced, or is written twice"),
            ));
        };
        let length = bytes.len() as u64;
        if length > *left {
            let reason = format!("tensor `{name}` has {left} bytes left to write, not {length}");
            return Err(unwritable(&self.path, reason));
        }
        let begin = *position;
        (*position, *left) = (begin + length, *left - length);
        if *left == 0 {
            self.open.remove(name);
        }
        self.put(begin, bytes)
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] where a tensor has not been written.
    pub fn finish(mut self) -> Result<()> {
        if let Some(name) = self.open.keys().next() {
            return Err(unwritable(&self.path, format!("tensor `{name}` has not been written")));
        }
        self.file()
            .sync_all()
            .map_err(Error::io(&self.path, "write it to the disk"))?;
        std::fs::rename(&self.temp, &self.path).map_err(Error::io(&self.path, "give the new file its name"))?;
        self.file = None;
        sync_folder(&self.path);
        Ok(())
    }

    fn put(&mut self, position: u64, bytes: &[u8]) -> Result<()> {
        let mut file = self.file();
        let done = file.seek(SeekFrom::Start(position)).and_then(|_| file.write_all(bytes));
        done.map_err(Error::io(&self.path, "write it"))
    }

    fn file(&self) -> &File {
        self.file
            .as_ref()
            .expect("only `finish` takes it, and `finish` consumes the writer")
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nobody is left to tell; the name shows that the file is a temporary one.
            let _ = std::fs::remove_file(&self.temp);
        }
    }
}

fn unwritable(path: &Path, reason: String) -> Error {
    Error::Malformed {
        path: path.to_owned(),
        kind: "safetensors file to write",
        reason,
    }
}

struct Layout {
    /// Length, JSON and padding.
    bytes: Vec<u8>,
    /// Position and length in the file, by name.
    places: BTreeMap<String, (u64, u64)>,
}

fn layout(tensors: &BTreeMap<String, TensorInfo>, metadata: &BTreeMap<String, String>) -> Result<Layout, String> {
    const METADATA: &str = "__metadata__";
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(_, info)| std::cmp::Reverse(info.dtype.format().block_bytes));
    let (mut lines, mut places, mut end) = (BTreeMap::new(), BTreeMap::new(), 0u64);
    if !metadata.is_empty() {
        lines.insert(METADATA, Line::Metadata(metadata));
    }
    for (name, info) in order {
        if name == METADATA || info.shape.len() > MAX_RANK {
            return Err(format!(
                "a tensor cannot be called `{name}` or have {} dimensions",
                info.shape.len()
            ));
        }
        let begin = end;
        let bytes = info.checked_bytes().and_then(|n| u64::try_from(n).ok());
        end = bytes
            .and_then(|n| begin.checked_add(n))
            .ok_or_else(|| format!("tensor `{name}` is too large"))?;
        let data_offsets = [begin, end];
        lines.insert(
            name,
            Line::Tensor {
                dtype: info.dtype.name(),
                shape: &info.shape,
                data_offsets,
            },
        );
        places.insert(name.clone(), (begin, end - begin));
    }
    let mut json = serde_json::to_vec(&lines).map_err(|e| e.to_string())?;
    json.resize(json.len().next_multiple_of(8), b' ');
    let length = json.len() as u64;
    if length > MAX_HEADER {
        return Err(format!(
            "its header would take {length} bytes (the limit is {MAX_HEADER})"
        ));
    }
    for (position, _) in places.values_mut() {
        *position += LENGTH_BYTES + length;
    }
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.append(&mut json);
    Ok(Layout { bytes, places })
}

/// A new file in the folder of `path`: only within one folder is a rename certain to be atomic.
fn create_temp(path: &Path) -> Result<(PathBuf, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temp = path.with_file_name(format!(".{name}.{}-{number}.tmp", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&temp);
    Ok((temp, file.map_err(Error::io(path, "create a file beside it"))?))
}

/// Makes the rename itself durable, where the system lets a folder be synchronised; the file is safe either way.
fn sync_folder(path: &Path) {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if cfg!(unix)
        && let Err(error) = File::open(folder).and_then(|f| f.sync_all())
    {
        tracing::debug!("{}: cannot synchronise the folder: {error}", folder.display());
    }
}
