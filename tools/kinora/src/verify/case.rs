//! A case folder: its description, its tensors and its weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinora_graph::{HostTensor, Scores};
use kinora_models::wan::names::{self, Part};
use kinora_quant::file::{Renamed, SafetensorsFile};
use kinora_quant::synth::RuleWeights;
use kinora_quant::{Weights, file};
use serde::de::DeserializeOwned;

use super::{CaseError, Description, Result};

/// Longest `case.json` that is read, in bytes.
const MAX_DESCRIPTION: u64 = 1 << 20;

/// Most bytes that the inputs or outputs of a case may take.
const MAX_TENSORS: u64 = 4 << 30;

/// Tensors by name.
pub(crate) type Tensors = BTreeMap<String, HostTensor>;

/// A case, read from its folder. Weights are opened when they are asked for.
pub struct Case {
    folder: PathBuf,
    /// Its `case.json`.
    pub description: Description,
    /// Arithmetic of self-attention's scores.
    pub(crate) scores: Scores,
    inputs: Tensors,
    expected: Tensors,
}

impl Case {
    /// Reads the `case.json` of a folder, and nothing else.
    pub(crate) fn describe(folder: &Path) -> Result<Description> {
        let path = folder.join("case.json");
        let io = |source| CaseError::Io {
            path: path.clone(),
            source,
        };
        let length = std::fs::metadata(&path).map_err(io)?.len();
        let malformed = |why| CaseError::Malformed {
            path: path.clone(),
            why,
        };
        if length > MAX_DESCRIPTION {
            return Err(malformed(format!(
                "{length} bytes are too many for a case (the limit is {MAX_DESCRIPTION})"
            )));
        }
        Description::parse(&std::fs::read(&path).map_err(io)?).map_err(malformed)
    }

    /// Reads the tensors of a folder that is described already.
    pub(crate) fn open(folder: &Path, description: Description, scores: Scores) -> Result<Self> {
        Ok(Self {
            inputs: read_tensors(&folder.join("inputs.safetensors"))?,
            expected: read_tensors(&folder.join("expected.safetensors"))?,
            folder: folder.to_owned(),
            description,
            scores,
        })
    }

    /// The reference's outputs.
    pub(crate) fn expected(&self) -> &Tensors {
        &self.expected
    }

    /// The class's arguments as a model's configuration.
    pub(crate) fn config<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.description.config.clone())
            .map_err(|e| self.malformed("case.json", format!("`config`: {e}")))
    }

    /// Fails where `config.key` is there and is none of `allowed`.
    pub(crate) fn require(&self, key: &str, allowed: &[serde_json::Value]) -> Result<()> {
        match self.description.config.get(key) {
            Some(value) if !allowed.contains(value) => {
                Err(CaseError::Unsupported(format!("`{key}` = {value} is not implemented")))
            }
            _ => Ok(()),
        }
    }

    /// An input, whatever its shape.
    pub(crate) fn input(&self, name: &str) -> Result<&HostTensor> {
        self.inputs
            .get(name)
            .ok_or_else(|| self.malformed("inputs.safetensors", format!("there is no tensor `{name}`")))
    }

    /// An input that the reference's function has a default for.
    pub(crate) fn optional(&self, name: &str) -> Option<&HostTensor> {
        self.inputs.get(name)
    }

    /// An input of numbers with `N` dimensions, none of them 0.
    pub(crate) fn floats<const N: usize>(&self, name: &str) -> Result<([usize; N], &[f32])> {
        let tensor = self.input(name)?;
        Ok((
            self.shape(name, tensor)?,
            tensor.as_f32().map_err(|e| self.wrong(name, e.to_string()))?,
        ))
    }

    /// An input of ids with `N` dimensions, none of them 0.
    pub(crate) fn ids<const N: usize>(&self, name: &str) -> Result<([usize; N], &[u32])> {
        let tensor = self.input(name)?;
        Ok((
            self.shape(name, tensor)?,
            tensor.as_u32().map_err(|e| self.wrong(name, e.to_string()))?,
        ))
    }

    fn shape<const N: usize>(&self, name: &str, tensor: &HostTensor) -> Result<[usize; N]> {
        match <[usize; N]>::try_from(tensor.shape.as_slice()) {
            Ok(shape) if !tensor.is_empty() => Ok(shape),
            _ => Err(self.wrong(
                name,
                format!("shape {:?} where {N} dimensions are needed", tensor.shape),
            )),
        }
    }

    /// An error about an input.
    pub(crate) fn wrong(&self, input: &str, why: impl std::fmt::Display) -> CaseError {
        self.malformed("inputs.safetensors", format!("`{input}`: {why}"))
    }

    /// An error about a file of the case.
    pub(crate) fn malformed(&self, file: &str, why: String) -> CaseError {
        CaseError::Malformed {
            path: self.folder.join(file),
            why,
        }
    }

    /// Where the case's weights are.
    pub(crate) fn weights_path(&self) -> Result<PathBuf> {
        match &self.description.weights {
            Some(relative) => Ok(self.folder.join(relative)),
            None => Err(self.malformed("case.json", "`weights` is missing".to_owned())),
        }
    }

    /// The case's weights under canonical names: from the file, or made by the rule beside it where the file is
    /// not there.
    pub(crate) fn weights(&self, part: Part) -> Result<Arc<dyn Weights>> {
        let path = self.weights_path()?;
        let rule = path.with_file_name("weights.json");
        let weights: Arc<dyn Weights> = if !path.exists() && rule.exists() {
            Arc::new(RuleWeights::from_json(rule)?)
        } else {
            file::open(&path)?.into()
        };
        match self.description.layout.as_str() {
            "diffusers" => Ok(weights),
            "wan-original" => Ok(Arc::new(Renamed::by_rule(weights, |stored| {
                Some(names::canonical(part, stored)).filter(|name| !names::is_extra(part, name))
            })?)),
            other => Err(CaseError::Unsupported(format!(
                "weights in the naming `{other}` are not implemented"
            ))),
        }
    }
}

fn read_tensors(path: &Path) -> Result<Tensors> {
    let file = SafetensorsFile::open(path)?;
    let bytes: u64 = file.entries().values().map(|e| e.range.end - e.range.start).sum();
    if bytes > MAX_TENSORS {
        let why = format!("{bytes} bytes are too many for a case (the limit is {MAX_TENSORS})");
        return Err(CaseError::Malformed {
            path: path.to_owned(),
            why,
        });
    }
    let mut tensors = Tensors::new();
    for name in file.names() {
        let tensor = file.tensor(&name)?;
        let shape = &tensor.info.shape;
        let host = if tensor.info.dtype.is_float() {
            HostTensor::f32(shape, tensor.to_f32()?)
        } else {
            HostTensor::u32(shape, tensor.to_u32()?)
        };
        tensors.insert(name, host);
    }
    Ok(tensors)
}
