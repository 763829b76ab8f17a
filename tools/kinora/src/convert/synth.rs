//! Full-size files with made-up numbers: the true names and shapes, for measurements without the real files.

use std::collections::BTreeMap;
use std::path::Path;

use kinora_models::wan::Variant;
use kinora_models::wan::files::Role;
use kinora_models::wan::manifest;
use kinora_models::wan::names::Part;
use kinora_quant::{DType, TensorInfo};

use super::output::Output;
use super::{Container, Error, MadeUp, Target};

/// Bytes that are made at a time.
const PIECE: usize = 16 << 20;

/// What to make.
pub struct Synth<'a> {
    /// The model.
    pub variant: Variant,
    /// The part.
    pub role: Role,
    /// Type of the matrices.
    pub target: Target,
    /// The file to write.
    pub output: &'a Path,
    /// Other seeds, other numbers.
    pub seed: u64,
    /// Replace an existing file.
    pub force: bool,
}

impl Synth<'_> {
    /// Bytes of the tensors.
    ///
    /// # Errors
    /// [`Error::Extension`].
    pub fn bytes(&self) -> Result<u64, Error> {
        let tensors = self.tensors(self.target.container_of(self.output)?);
        Ok(tensors.values().map(|info| info.bytes() as u64).sum())
    }

    fn tensors(&self, container: Container) -> BTreeMap<String, TensorInfo> {
        stored(self.variant, self.role, self.target, container)
    }
}

/// The tensors of a part in original names, as a file with matrices of type `target` has them.
pub fn stored(variant: Variant, role: Role, target: Target, container: Container) -> BTreeMap<String, TensorInfo> {
    let part = part_of(role);
    let stored = |manifest::Entry { name, shape }| {
        let info = TensorInfo {
            dtype: DType::F16,
            shape,
        };
        let (dtype, _) = target.dtype_of(part, &name, &info, container)?;
        Some((name, TensorInfo { dtype, ..info }))
    };
    manifest::tensors(variant, role)
        .into_iter()
        .filter_map(stored)
        .collect()
}

/// Writes the file; `tell` hears of the bytes written since it last heard and stops the work by returning false.
/// The same job gives the same bytes. Memory is bounded by some tens of megabytes.
///
/// # Errors
/// [`Error`]; no file is left then.
pub fn synth(job: &Synth<'_>, tell: &mut dyn FnMut(u64) -> bool) -> Result<(), Error> {
    let container = job.target.container_of(job.output)?;
    let tensors = job.tensors(container);
    let mut output = Output::create(job.output, container, &tensors, part_of(job.role), job.force)?;
    let weights = MadeUp::new(tensors.clone(), job.seed)?;
    for (name, info) in &tensors {
        let total = info.bytes();
        for begin in (0..total).step_by(PIECE) {
            let piece = weights.bytes(name, begin..total.min(begin + PIECE))?;
            output.append(name, &piece)?;
            if !tell(piece.len() as u64) {
                return Err(Error::Cancelled);
            }
        }
    }
    output.finish()
}

/// The part that has a role.
fn part_of(role: Role) -> Part {
    match role {
        Role::TextEncoder => Part::TextEncoder,
        Role::Vae => Part::Vae,
        Role::Transformer | Role::High | Role::Low => Part::Transformer,
    }
}
