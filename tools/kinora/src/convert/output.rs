//! The file that is being written.

use std::collections::BTreeMap;
use std::path::Path;

use kinora_models::wan::names::Part;
use kinora_quant::file::{GgufValue, Writer};
use kinora_quant::{DType, TensorInfo};

use super::{Container, Error};

/// A file of tensors under a temporary name; dropped before [`finish`](Self::finish), it is removed.
pub(super) struct Output {
    writer: Writer,
    /// Sizes of the tensors of records: their scales lie in tensors of their own in the file, so that they are written
    /// when they are whole.
    records: BTreeMap<String, usize>,
    /// What is there of the current one.
    record: Vec<u8>,
}

impl Output {
    /// Begins a file for `tensors` after checking that it may be there and will fit.
    pub(super) fn create(
        path: &Path,
        container: Container,
        tensors: &BTreeMap<String, TensorInfo>,
        part: Part,
        force: bool,
    ) -> Result<Self, Error> {
        if !force && path.exists() {
            return Err(Error::Exists { path: path.to_owned() });
        }
        let needed = tensors
            .values()
            .map(|info| info.bytes() as u64)
            .fold(0, u64::saturating_add);
        check_space(path, needed)?;
        let writer = match container {
            Container::Safetensors => {
                let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
                Writer::create(path, tensors, &metadata)?
            }
            Container::Gguf => Writer::create_gguf(path, tensors, &gguf_metadata(part))?,
        };
        let records = tensors.iter().filter(|(_, info)| DType::RECORDS.contains(&info.dtype));
        Ok(Self {
            writer,
            records: records.map(|(name, info)| (name.clone(), info.bytes())).collect(),
            record: Vec::new(),
        })
    }

    /// The next bytes of the tensor `name`: whole rows, in order, one tensor after the other.
    pub(super) fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let Some(size) = self.records.get(name) else {
            return Ok(self.writer.append(name, bytes)?);
        };
        self.record.extend_from_slice(bytes);
        if self.record.len() == *size {
            self.writer.write(name, &self.record)?;
            self.record.clear();
        }
        Ok(())
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<(), Error> {
        Ok(self.writer.finish()?)
    }
}

/// What other programs tell the kind of model by.
fn gguf_metadata(part: Part) -> BTreeMap<String, GgufValue> {
    let architecture = match part {
        Part::Transformer => "wan",
        Part::TextEncoder => "t5encoder",
        Part::Vae => "wan_vae",
    };
    let version = GgufValue::from(2u32);
    BTreeMap::from([
        ("general.architecture".to_owned(), GgufValue::from(architecture)),
        ("general.quantization_version".to_owned(), version),
    ])
}

fn check_space(path: &Path, needed: u64) -> Result<(), Error> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let free = fs4::available_space(folder).map_err(|source| Error::Io {
        path: folder.to_owned(),
        source,
    })?;
    if free < needed {
        return Err(Error::Space {
            path: path.to_owned(),
            needed,
            free,
        });
    }
    Ok(())
}
