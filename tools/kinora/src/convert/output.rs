//! The file that is being written.

use std::collections::BTreeMap;
use std::path::Path;

use kinora_models::wan::names::Part;
use kinora_quant::TensorInfo;
use kinora_quant::file::Writer;

use super::{Container, Error};

/// A file of tensors under a temporary name; dropped before [`finish`](Self::finish), it is removed.
pub(super) enum Output {
    Safetensors(Writer),
}

impl Output {
    /// Begins a file for `tensors` after checking that it may be there and will fit.
    pub(super) fn create(
        path: &Path,
        container: Container,
        tensors: &BTreeMap<String, TensorInfo>,
        _part: Part,
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
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        match container {
            Container::Safetensors => Ok(Self::Safetensors(Writer::create(path, tensors, &metadata)?)),
            Container::Gguf => todo!("the writer of GGUF files"),
        }
    }

    /// The next bytes of the tensor `name`: whole rows, in order.
    pub(super) fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Safetensors(writer) => writer.append(name, bytes)?,
        }
        Ok(())
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self {
            Self::Safetensors(writer) => writer.finish()?,
        }
        Ok(())
    }
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
