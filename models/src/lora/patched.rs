//! A model's weights with LoRAs applied.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use kinora_graph::{LORA_DOWN, LORA_UP};
use kinora_quant::{DType, Error, Listing, Result, Tensor, TensorInfo, Weights};

use super::change::{Base, Patch};

/// Weights seen through the changes of LoRAs. Where a change is a low-rank product, the weight itself stays as it is
/// stored, and the product's factors appear beside it under the names that [`kinora_graph::Builder`] looks for; other
/// changes make the tensor an f32 one, whose rows are computed when they are asked for.
pub struct Patched {
    model: Arc<dyn Weights>,
    /// By the name of the tensor that they change.
    patches: BTreeMap<String, Patch>,
    /// The files of the LoRAs.
    loras: Vec<Arc<dyn Weights>>,
}

/// What a name leads to.
enum Found<'a> {
    /// A tensor that is as it was.
    Model,
    /// A tensor in place of the model's.
    File(&'a Arc<dyn Weights>, &'a str),
    /// The changed tensor.
    Merged(&'a Patch),
    /// The first factor of its low-rank changes.
    Down(&'a Patch),
    /// The second one.
    Up(&'a Patch),
}

impl Patched {
    pub(super) fn new(model: Arc<dyn Weights>, patches: BTreeMap<String, Patch>, loras: Vec<Arc<dyn Weights>>) -> Self {
        Self { model, patches, loras }
    }

    fn find(&self, name: &str) -> Found<'_> {
        let low_rank = |suffix: &str| {
            let patch = self.patches.get(name.strip_suffix(suffix)?)?;
            patch.is_low_rank().then_some(patch).filter(|p| p.rank() > 0)
        };
        if let Some(patch) = low_rank(LORA_DOWN) {
            return Found::Down(patch);
        }
        if let Some(patch) = low_rank(LORA_UP) {
            return Found::Up(patch);
        }
        match self.patches.get(name) {
            None => Found::Model,
            Some(patch) if !patch.is_low_rank() => Found::Merged(patch),
            Some(patch) => match &patch.base {
                Base::File(file, name) => Found::File(file, name),
                Base::Model | Base::Zero => Found::Model,
            },
        }
    }

    /// Rows `range` of a tensor of shape `shape` that `make` computes.
    fn computed(
        shape: Vec<usize>,
        range: Range<usize>,
        make: impl FnOnce(Range<usize>) -> Result<Vec<f32>>,
    ) -> Result<Tensor<'static>> {
        let mut info = f32_info(shape);
        match info.shape.first_mut() {
            Some(rows) if range.start <= range.end && range.end <= *rows => *rows = range.len(),
            _ => {
                return Err(Error::Rows {
                    range,
                    shape: info.shape,
                });
            }
        }
        let values = make(range)?;
        Ok(Tensor {
            info,
            data: Cow::Owned(bytemuck::cast_slice(&values).to_vec()),
        })
    }
}

/// Where LoRAs come from.
pub(super) fn origins(loras: &[Arc<dyn Weights>]) -> String {
    let origins: Vec<_> = loras.iter().map(Weights::origin).collect();
    origins.join(", ")
}

fn f32_info(shape: Vec<usize>) -> TensorInfo {
    TensorInfo {
        dtype: DType::F32,
        shape,
    }
}

/// `[rank, …]`: the weight's shape with other rows.
fn down_shape(patch: &Patch) -> Vec<usize> {
    let mut shape = patch.shape.clone();
    shape[0] = patch.rank();
    shape
}

fn up_shape(patch: &Patch) -> Vec<usize> {
    vec![patch.shape[0], patch.rank()]
}

impl Weights for Patched {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        match self.find(name) {
            Found::Model => self.model.info(name),
            Found::File(file, name) => file.info(name),
            Found::Merged(patch) => Some(f32_info(patch.shape.clone())),
            Found::Down(patch) => Some(f32_info(down_shape(patch))),
            Found::Up(patch) => Some(f32_info(up_shape(patch))),
        }
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        match self.find(name) {
            Found::Model => self.model.tensor(name),
            Found::File(file, name) => file.tensor(name),
            Found::Merged(_) | Found::Down(_) | Found::Up(_) => {
                let rows = self.info(name).and_then(|info| info.shape.first().copied());
                self.rows(name, 0..rows.unwrap_or(0))
            }
        }
    }

    fn rows(&self, name: &str, range: Range<usize>) -> Result<Tensor<'_>> {
        match self.find(name) {
            Found::Model => self.model.rows(name, range),
            Found::File(file, name) => file.rows(name, range),
            Found::Merged(patch) => Self::computed(patch.shape.clone(), range, |r| patch.merged(&*self.model, r)),
            Found::Down(patch) => Self::computed(down_shape(patch), range, |r| patch.down(r)),
            Found::Up(patch) => Self::computed(up_shape(patch), range, |r| patch.up(r)),
        }
    }

    fn read_rows(&self, name: &str, range: Range<usize>, out: &mut [u8]) -> Result<()> {
        match self.find(name) {
            Found::Model => self.model.read_rows(name, range, out),
            Found::File(file, name) => file.read_rows(name, range, out),
            Found::Merged(_) | Found::Down(_) | Found::Up(_) => {
                let rows = self.rows(name, range)?;
                if rows.data.len() != out.len() {
                    return Err(Error::Length {
                        dtype: rows.info.dtype,
                        shape: rows.info.shape,
                        got: out.len(),
                    });
                }
                out.copy_from_slice(&rows.data);
                Ok(())
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.model.names();
        for (name, patch) in &self.patches {
            if patch.is_low_rank() && patch.rank() > 0 {
                names.extend([format!("{name}{LORA_DOWN}"), format!("{name}{LORA_UP}")]);
            }
            if matches!(patch.base, Base::Zero) {
                names.push(name.clone());
            }
        }
        names.sort();
        names
    }

    fn origin(&self) -> String {
        format!("{} with {}", self.model.origin(), origins(&self.loras))
    }

    fn missing(&self, name: &str) -> Error {
        self.model.missing(name)
    }

    fn check(&self) -> Result<()> {
        self.model.check()?;
        self.loras.iter().try_for_each(Weights::check)
    }

    fn release(&self, name: &str) {
        match self.find(name) {
            Found::File(file, name) => file.release(name),
            _ => self.model.release(name),
        }
    }

    fn listing(&self, name: &str) -> Option<Listing> {
        match self.find(name) {
            Found::Model => self.model.listing(name),
            _ => self.info(name).map(Listing::from),
        }
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.model.metadata()
    }
}
