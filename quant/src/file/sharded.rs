//! One set of tensors in several files, held together by an index (`*.safetensors.index.json`).

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::safetensors::SafetensorsFile;
use crate::error::shown;
use crate::json::{self, UniqueMap};
use crate::{Error, Listing, Result, Tensor, TensorInfo, Weights};

const KIND: &str = "safetensors index";

/// A sharded checkpoint: the tensors that its index lists. (A tensor that lies in a shard but not in the index is
/// not visible.)
#[derive(Debug)]
pub struct Sharded {
    path: PathBuf,
    shards: Vec<SafetensorsFile>,
    /// Tensor name to position in `shards`.
    map: BTreeMap<String, usize>,
}

impl Sharded {
    /// Opens the index at `path` and all shards that it lists, which lie in the same folder.
    ///
    /// # Errors
    /// [`Error::Malformed`] where the index breaks a rule of [`parse_index`], names a shard that is not there or a
    /// tensor that its shard does not hold; and those of [`SafetensorsFile::open`] for each shard.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let weight_map = read_index(path)?;
        let mut shards = Vec::new();
        let mut places = BTreeMap::new();
        for name in weight_map.values() {
            if !places.contains_key(name) {
                let shard = path.with_file_name(name);
                if !shard.exists() {
                    let reason = format!(
                        "it lists `{}`, which is not in its folder; download it too",
                        shown(name)
                    );
                    return Err(malformed(path, reason));
                }
                places.insert(name.clone(), shards.len());
                shards.push(SafetensorsFile::open(shard)?);
            }
        }
        let mut map = BTreeMap::new();
        for (tensor, shard) in weight_map {
            let place = places[&shard];
            if !shards[place].entries().contains_key(&tensor) {
                let (tensor, shard) = (shown(&tensor), shown(&shard));
                let reason = format!(
                    "tensor `{tensor}` is not in `{shard}`, where it should be; index and files belong to different downloads: fetch them again together"
                );
                return Err(malformed(path, reason));
            }
            map.insert(tensor, place);
        }
        Ok(Self {
            path: path.to_owned(),
            shards,
            map,
        })
    }

    /// The shards, in the order in which sorted tensor names first use them.
    pub fn shards(&self) -> &[SafetensorsFile] {
        &self.shards
    }

    fn shard(&self, name: &str) -> Option<&SafetensorsFile> {
        self.map.get(name).map(|place| &self.shards[*place])
    }
}

fn malformed(path: &Path, reason: String) -> Error {
    Error::Malformed {
        path: path.to_owned(),
        kind: KIND,
        reason,
    }
}

/// The weight map of the index at `path`.
pub(crate) fn read_index(path: &Path) -> Result<BTreeMap<String, String>> {
    json::read(path, KIND, parse_index)
}

/// Reads an index: tensor name to the name of the file that holds it. A pure function, for fuzzers too.
///
/// # Errors
/// In words: JSON that is broken, nests deeply or names a tensor twice; no `weight_map`; a shard that is not a
/// plain `.safetensors` file name (an index must not reach outside its folder).
pub fn parse_index(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: UniqueMap<String>,
    }
    let UniqueMap(map) = json::parse::<Index>(bytes)?.weight_map;
    for shard in map.values() {
        let plain = !shard.contains(['/', '\\', ':', '\0']) && !shard.starts_with('.');
        if !plain || !shard.ends_with(".safetensors") {
            return Err(format!(
                "it lists `{}`, which is not a .safetensors file in its own folder",
                shown(shard)
            ));
        }
    }
    Ok(map)
}

impl Weights for Sharded {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.shard(name)?.info(name)
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.shard(name).ok_or_else(|| self.missing(name))?.tensor(name)
    }

    fn names(&self) -> Vec<String> {
        self.map.keys().cloned().collect()
    }

    fn origin(&self) -> String {
        format!("index {}", self.path.display())
    }

    fn missing(&self, name: &str) -> Error {
        match self.shard(name) {
            Some(shard) => shard.missing(name),
            None => Error::MissingTensor {
                origin: self.origin(),
                name: name.to_owned(),
            },
        }
    }

    fn read_rows(&self, name: &str, range: Range<usize>, out: &mut [u8]) -> Result<()> {
        let shard = self.shard(name).ok_or_else(|| self.missing(name))?;
        shard.read_rows(name, range, out)
    }

    fn check(&self) -> Result<()> {
        self.shards.iter().try_for_each(Weights::check)
    }

    fn release(&self, name: &str) {
        if let Some(shard) = self.shard(name) {
            shard.release(name);
        }
    }

    fn listing(&self, name: &str) -> Option<Listing> {
        self.shard(name)?.listing(name)
    }

    /// The remarks of all shards; where two differ on a key, the first shard's.
    fn metadata(&self) -> BTreeMap<String, String> {
        self.shards.iter().rev().flat_map(Weights::metadata).collect()
    }
}
