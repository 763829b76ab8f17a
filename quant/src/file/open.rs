//! From a path that a person typed to the tensors that they mean.

use std::path::{Path, PathBuf};

use super::gguf::GgufFile;
use super::records::Records;
use super::safetensors::SafetensorsFile;
use super::sharded::{Sharded, read_index};
use super::sniff::{self, Kind};
use crate::error::shown;
use crate::{Error, Result, Weights};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One file of tensors.
    File(PathBuf),
    /// The index of a sharded checkpoint.
    Index(PathBuf),
}

/// Opens a safetensors or GGUF file, the index of a sharded one, or a folder that holds exactly one of them. Weights
/// whose scales lie in tensors of their own appear as records ([`Records`]).
///
/// # Errors
/// Those of [`resolve`], [`SafetensorsFile::open`], [`GgufFile::open`], [`Sharded::open`] and [`Records::new`].
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn Weights>> {
    Ok(match resolve(path.as_ref())? {
        Source::File(path) => match sniff::open(&path)?.1 {
            Kind::Gguf => Box::new(GgufFile::open(path)?),
            Kind::Safetensors => Box::new(Records::new(SafetensorsFile::open(path)?)?),
        },
        Source::Index(path) => Box::new(Records::new(Sharded::open(path)?)?),
    })
}

/// Finds the file or index that `path` means, without reading tensors.
///
/// # Errors
/// [`Error::Io`] where there is nothing; [`Error::Choice`] for a folder that holds no or several candidates, with a
/// list of them; [`Error::Pickle`] for one that holds nothing but pickled weights.
pub fn resolve(path: &Path) -> Result<Source> {
    let meta = std::fs::metadata(path).map_err(Error::io(path, "find it"))?;
    if meta.is_dir() {
        return resolve_folder(path);
    }
    Ok(if extension(path) == "json" {
        Source::Index(path.to_owned())
    } else {
        Source::File(path.to_owned())
    })
}

fn resolve_folder(folder: &Path) -> Result<Source> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder, "list it"))? {
        let path = entry.map_err(Error::io(folder, "list it"))?.path();
        // Files whose name begins with a dot are a file manager's or a half-written download.
        if !name(&path).starts_with('.') {
            files.push(path);
        }
    }
    files.sort();
    let (indices, tensors): (Vec<_>, Vec<_>) = files
        .iter()
        .filter(|p| {
            matches!(extension(p).as_str(), "safetensors" | "gguf") || name(p).ends_with(".safetensors.index.json")
        })
        .partition(|p| extension(p) == "json");
    match (indices.as_slice(), tensors.as_slice()) {
        ([], [file]) => Ok(Source::File((*file).clone())),
        ([index], _) => {
            let shards = read_index(index)?;
            let strangers: Vec<_> = tensors
                .into_iter()
                .filter(|p| !shards.values().any(|s| *s == name(p)))
                .collect();
            if strangers.is_empty() {
                return Ok(Source::Index((*index).clone()));
            }
            Err(several(folder, indices.into_iter().chain(strangers)))
        }
        ([], []) => match files
            .iter()
            .find(|p| matches!(extension(p).as_str(), "pth" | "pt" | "ckpt" | "bin"))
        {
            Some(pickle) => Err(Error::Pickle { path: pickle.clone() }),
            None => Err(nothing(folder, &files)),
        },
        _ => Err(several(folder, indices.into_iter().chain(tensors))),
    }
}

fn several<'a>(folder: &Path, candidates: impl Iterator<Item = &'a PathBuf>) -> Error {
    let reason = format!(
        "this folder holds several sets of tensors; give the path of one of them: {} (several numbered parts without an index: the .safetensors.index.json file is missing, download it too)",
        list(candidates)
    );
    Error::Choice {
        path: folder.to_owned(),
        reason,
    }
}

fn nothing(folder: &Path, files: &[PathBuf]) -> Error {
    let holds = if files.is_empty() {
        "it is empty".to_owned()
    } else {
        format!("it holds {}", list(files.iter()))
    };
    let reason = format!(
        "this folder holds no .safetensors or .gguf file ({holds}); give the folder or file that holds the weights"
    );
    Error::Choice {
        path: folder.to_owned(),
        reason,
    }
}

/// The names of the first files, for people.
fn list<'a>(files: impl Iterator<Item = &'a PathBuf>) -> String {
    const LIMIT: usize = 12;
    let names: Vec<_> = files.map(|p| shown(&name(p))).collect();
    let more = if names.len() > LIMIT {
        format!(" and {} more", names.len() - LIMIT)
    } else {
        String::new()
    };
    format!("{}{more}", names[..names.len().min(LIMIT)].join(", "))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn extension(path: &Path) -> String {
    path.extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase()
}
