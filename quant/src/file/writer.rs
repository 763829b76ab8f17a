//! Files of tensors, written whole or not at all.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::gguf::{self, GgufValue};
use super::header::{LENGTH_BYTES, MAX_HEADER, MAX_RANK};
use super::records;
use crate::{DType, Error, Result, Tensor, TensorInfo, Weights};

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

/// A file of tensors that is being written, under a temporary name in the folder of the final one.
/// Dropped before [`finish`](Self::finish), it removes what it has written.
///
/// In a safetensors file, names in the header are sorted; the bytes lie by descending element size and then by name,
/// so that every tensor is aligned to its elements; the data begins at a multiple of 8. A record tensor `X.weight` is
/// taken apart into `X.weight`, `X.weight_scale` and what else ComfyUI's files have for its format.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    temp: PathBuf,
    /// `None` once the file is complete.
    file: Option<File>,
    /// Position and length in the file of what is still to be written, by tensor.
    open: BTreeMap<String, (u64, u64)>,
    /// Record tensors that are taken apart.
    records: BTreeMap<String, TensorInfo>,
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
    /// Begins a safetensors file for `tensors` and writes its header.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] where the file could not be read back: a size overflows, a tensor is
    /// called `__metadata__` or has too many dimensions, its type has no place in such a file, two tensors have one
    /// name, or the header would be too long.
    pub fn create(
        path: impl AsRef<Path>,
        tensors: &BTreeMap<String, TensorInfo>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let path = path.as_ref();
        let (mut stored, mut records) = (BTreeMap::new(), BTreeMap::new());
        for (name, info) in tensors {
            let parts = if DType::PLAIN.contains(&info.dtype) {
                vec![(name.clone(), info.clone())]
            } else {
                records.insert(name.clone(), info.clone());
                records::announce(name, info).map_err(|reason| unwritable(path, reason))?
            };
            for (name, info) in parts {
                if stored.insert(name.clone(), info).is_some() {
                    return Err(unwritable(path, format!("two tensors would be called `{name}`")));
                }
            }
        }
        let layout = layout(&stored, metadata).map_err(|reason| unwritable(path, reason))?;
        Self::begin(path, layout, records)
    }

    /// Begins a GGUF file (version 3) for `tensors`, of up to [`MAX_RANK`] dimensions, and writes its header.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] for a type that such files cannot hold, rows without whole blocks, sizes that
    /// overflow, and a key that belongs to the format (`general.alignment`).
    pub fn create_gguf(
        path: impl AsRef<Path>,
        tensors: &BTreeMap<String, TensorInfo>,
        metadata: &BTreeMap<String, GgufValue>,
    ) -> Result<Self> {
        let path = path.as_ref();
        let layout = gguf::layout(tensors, metadata).map_err(|reason| unwritable(path, reason))?;
        Self::begin(path, layout, BTreeMap::new())
    }

    fn begin(path: &Path, layout: Layout, records: BTreeMap<String, TensorInfo>) -> Result<Self> {
        let (temp, file) = create_temp(path)?;
        let mut writer = Self {
            path: path.to_owned(),
            temp,
            file: Some(file),
            open: layout.places,
            records,
        };
        writer.put(0, &layout.bytes)?;
        // Padding between tensors is never written: it is the zeros of a longer file.
        let sized = writer.file().set_len(layout.length);
        sized.map_err(Error::io(path, "make room for it"))?;
        Ok(writer)
    }

    /// Writes the bytes of one tensor, little-endian and row-major. Tensors may come in any order, each once.
    ///
    /// # Errors
    /// [`Error::Io`] (a full disk among others); [`Error::Malformed`] for a name that was not announced or has been
    /// written, for the wrong number of bytes, and for records whose rows have different scales where the format has
    /// one for the matrix; [`Error::Length`] for the wrong number of bytes of records.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        if let Some(info) = self.records.get(name).cloned() {
            let parts = records::announce(name, &info).map_err(|reason| unwritable(&self.path, reason))?;
            let tensor = Tensor::new(info.dtype, &info.shape, bytes)?;
            let contents = records::split(&tensor).map_err(|reason| unwritable(&self.path, reason))?;
            for ((part, _), bytes) in parts.iter().zip(contents) {
                self.write_whole(part, &bytes)?;
            }
            return Ok(());
        }
        self.write_whole(name, bytes)
    }

    fn write_whole(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        if let Some((_, length)) = self.open.get(name)
            && *length != bytes.len() as u64
        {
            let reason = format!("tensor `{name}` takes {length} bytes, not {}", bytes.len());
            return Err(unwritable(&self.path, reason));
        }
        self.append(name, bytes)
    }

    /// Writes the next bytes of one tensor, so that a large one need not be in memory at once. Not for records in a
    /// safetensors file.
    ///
    /// # Errors
    /// As [`write`](Self::write); too few bytes are noticed by [`finish`](Self::finish).
    pub fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let Some((position, left)) = self.open.get_mut(name) else {
            return Err(unwritable(
                &self.path,
                format!("tensor `{name}` was not announced, or is written twice"),
            ));
        };
        let (at, length) = (*position, bytes.len() as u64);
        if length > *left {
            let reason = format!("tensor `{name}` takes {left} bytes more, not {length}");
            return Err(unwritable(&self.path, reason));
        }
        *position += length;
        *left -= length;
        if *left == 0 {
            self.open.remove(name);
        }
        self.put(at, bytes)
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
        kind: "file to write",
        reason,
    }
}

/// How a file will look.
pub(super) struct Layout {
    /// The header, padding included.
    pub(super) bytes: Vec<u8>,
    /// Position and length in the file, by name.
    pub(super) places: BTreeMap<String, (u64, u64)>,
    /// Bytes of the whole file.
    pub(super) length: u64,
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
    let length = end
        .checked_add(bytes.len() as u64)
        .ok_or("the file would be too large")?;
    Ok(Layout { bytes, places, length })
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
