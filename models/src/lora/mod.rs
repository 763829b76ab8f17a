//! LoRAs: small changes of a model's weights, from files of their own.
//!
//! A LoRA's tensors are matched to the transformer's by name, whatever naming the trainer used. The model's
//! weights stay as they are stored, quantised or not: a low-rank change is computed beside the weight
//! ([`kinora_graph::LORA_DOWN`]), every other change makes that one tensor an f32 one. Applied are low-rank pairs
//! (LoRA, LoCon), LoHa, LoKr, differences of weights and biases, and DoRA on any of them.

mod change;
mod factor;
pub mod key;
mod layer;
mod patched;
mod seems;
mod spec;
mod targets;

use std::collections::BTreeMap;
use std::sync::Arc;

use kinora_quant::{Weights, file};

pub use patched::Patched;
pub use seems::{Kind, kind};
pub use spec::{ExpertName, LoraSpec};

use crate::wan::{Expert, Model};
use crate::{Error, Result};
use change::{Base, Patch, is_matrix};
use key::{Key, Role};
use layer::Layer;
use targets::Targets;

/// Names that a message lists at most.
const LISTED: usize = 6;

/// Changes `model` by the LoRAs of `specs`, in their order. Returns what the user should know: to which expert a file
/// went, which of its tensors found no place, what merged tensors take.
///
/// # Errors
/// Those of opening a file; [`Error::Config`] for one that changes nothing in the model, whose shapes are others,
/// that is incomplete, or whose scheme is not supported; [`Error::Setting`] for an expert that the model does not have.
pub fn apply(model: &mut Model, specs: &[LoraSpec]) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let mut chosen = Vec::new();
    for spec in specs {
        chosen.push(choose(model, spec, &mut notes)?);
    }
    let experts = [
        (ExpertName::High, Some(&mut model.high)),
        (ExpertName::Low, model.low.as_mut()),
    ];
    for (name, expert) in experts {
        let Some(expert) = expert else { continue };
        let its = specs.iter().zip(&chosen).filter(|(_, e)| e.is_none_or(|e| e == name));
        let its: Vec<_> = its.map(|(spec, _)| spec.clone()).collect();
        for note in apply_to(expert, &its)? {
            // Of a file for both experts, once is enough.
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    Ok(notes)
}

/// Changes one transformer by all of `specs`, whatever expert they name: the part of [`apply`] that does the work.
///
/// # Errors
/// As [`apply`].
pub fn apply_to(expert: &mut Expert, specs: &[LoraSpec]) -> Result<Vec<String>> {
    let open = |spec: &LoraSpec| Ok((Arc::from(file::open(&spec.path)?), spec.strength));
    apply_opened(expert, &specs.iter().map(open).collect::<Result<Vec<_>>>()?)
}

/// [`apply_to`] with the tensors of LoRAs and their strengths.
///
/// # Errors
/// As [`apply`], but for those of opening files.
pub fn apply_opened(expert: &mut Expert, loras: &[(Arc<dyn Weights>, f32)]) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let mut patches = Patches::new(expert);
    for (file, strength) in loras {
        let unused = patches.add(file, *strength)?;
        notes.extend(left_out(file, &unused));
    }
    notes.extend(patches.finish(expert));
    Ok(notes)
}

/// The expert that a LoRA is for; both where there is nothing to tell.
fn choose(model: &Model, spec: &LoraSpec, notes: &mut Vec<String>) -> Result<Option<ExpertName>> {
    let file = spec.path.display();
    match (&model.low, spec.expert) {
        (None, None) => Ok(None),
        (None, Some(expert)) => Err(Error::Setting {
            setting: "--lora",
            why: format!(
                "{file} is meant for the {expert}-noise expert, and this model has one transformer; leave @{expert} out"
            ),
        }),
        (Some(_), Some(expert)) => Ok(Some(expert)),
        (Some(_), None) => {
            let expert = spec.expert_of_name();
            notes.push(match expert {
                Some(expert) => format!("{file}: for the {expert}-noise expert, as its name says"),
                None => format!("{file}: for both experts; add @high or @low to use it for one"),
            });
            Ok(expert)
        }
    }
}

/// One expert's changes while files are read.
struct Patches {
    model: Arc<dyn Weights>,
    targets: Targets,
    by_tensor: BTreeMap<String, Patch>,
    files: Vec<Arc<dyn Weights>>,
}

impl Patches {
    fn new(expert: &Expert) -> Self {
        Self {
            targets: Targets::new(&*expert.weights),
            model: expert.weights.clone(),
            by_tensor: BTreeMap::new(),
            files: Vec::new(),
        }
    }

    /// Adds the changes of a file. Returns the names of the tensors that change nothing here.
    fn add(&mut self, file: &Arc<dyn Weights>, strength: f32) -> Result<Vec<String>> {
        let names = file.names();
        let (layers, mut unused) = by_layer(file, &names)?;
        let seems = match kind(&**file) {
            Some(kind) => kind.to_string(),
            None => "it is no LoRA: no name in it ends like a part of one".to_owned(),
        };
        let mut used = 0;
        for (first, tensors) in layers {
            let count = tensors.len();
            let target = match first.of_text_encoder() {
                true => None,
                false => self.targets.find(&first).map(str::to_owned),
            };
            let left = match target {
                Some(target) => self.add_layer(file, &target, tensors, strength, &seems)?,
                None => tensors,
            };
            used += count - left.len();
            unused.extend(left.into_values().map(str::to_owned));
        }
        if used == 0 {
            let example = names
                .first()
                .map_or_else(String::new, |name| format!(" such as `{}`", shown(name)));
            return Err(Error::Config {
                origin: file.origin(),
                why: format!(
                    "none of its {} tensors{example} belongs to a layer of this transformer ({}); {seems}",
                    names.len(),
                    self.model.origin()
                ),
            });
        }
        self.files.push(file.clone());
        Ok(unused)
    }

    /// Adds the changes of one layer; what is left of its tensors comes back.
    fn add_layer<'a>(
        &mut self,
        file: &'a Arc<dyn Weights>,
        target: &str,
        tensors: BTreeMap<Role, &'a str>,
        strength: f32,
        seems: &str,
    ) -> Result<BTreeMap<Role, &'a str>> {
        let refused = tensors.iter().find_map(|(role, name)| match role {
            Role::Refused(scheme) => Some((scheme, name)),
            _ => None,
        });
        if let Some((scheme, name)) = refused {
            return Err(Error::Config {
                origin: file.origin(),
                why: format!("`{}` is part of {scheme}, which is not supported", shown(name)),
            });
        }
        let model = self.model.clone();
        let info = model.info(target).ok_or_else(|| model.missing(target))?;
        let mut layer = Layer {
            file,
            tensors,
            target,
            shape: &info.shape,
            seems,
            strength,
        };
        if let Some(name) = layer.set()? {
            let patch = self.patch(target, &info.shape, Base::Model);
            patch.base = Base::File(file.clone(), name.to_owned());
            patch.changes.clear();
        }
        let changes = layer.weight()?;
        if !changes.is_empty() {
            self.patch(target, &info.shape, Base::Model).changes.extend(changes);
        }
        if let Some(weight) = target.strip_suffix(".weight") {
            let bias = format!("{weight}.bias");
            let (shape, base) = match model.info(&bias) {
                Some(bias) => (bias.shape, Base::Model),
                None => (info.shape.iter().copied().take(1).collect(), Base::Zero),
            };
            // A norm without a bias has no place for one.
            if (matches!(base, Base::Model) || is_matrix(target, &info.shape))
                && let Some(change) = layer.bias(&bias, &shape)?
            {
                self.patch(&bias, &shape, base).changes.push(change);
            }
        }
        Ok(layer.tensors)
    }

    fn patch(&mut self, name: &str, shape: &[usize], base: Base) -> &mut Patch {
        self.by_tensor.entry(name.to_owned()).or_insert_with(|| Patch {
            name: name.to_owned(),
            shape: shape.to_vec(),
            base,
            changes: Vec::new(),
        })
    }

    /// Gives the expert its changed weights. Returns what merged matrices take.
    fn finish(self, expert: &mut Expert) -> Option<String> {
        if self.by_tensor.is_empty() {
            return None;
        }
        let merged = self
            .by_tensor
            .values()
            .filter(|p| is_matrix(&p.name, &p.shape) && !p.is_low_rank());
        let merged: usize = merged.map(|p| p.size()[0] * p.size()[1] * size_of::<f32>()).sum();
        let note = (merged > NOTABLE).then(|| {
            format!(
                "{}: changes that are not low-rank make weights f32, {:.1} GB of them",
                patched::origins(&self.files),
                merged as f64 / 1e9
            )
        });
        expert.weights = Arc::new(Patched::new(self.model, self.by_tensor, self.files));
        note
    }
}

/// Merged bytes from which on a note is due.
const NOTABLE: usize = 100 << 20;

/// One of a layer's keys, and its tensors by role.
type LayerTensors<'a> = (Key<'a>, BTreeMap<Role, &'a str>);

/// The tensors of each layer, and the names that are no part of a LoRA.
fn by_layer<'a>(file: &Arc<dyn Weights>, names: &'a [String]) -> Result<(Vec<LayerTensors<'a>>, Vec<String>)> {
    let mut layers: BTreeMap<&str, LayerTensors<'_>> = BTreeMap::new();
    let mut strangers = Vec::new();
    for name in names {
        let Some(key) = Key::parse(name) else {
            strangers.push(name.clone());
            continue;
        };
        let (_, roles) = layers.entry(key.module).or_insert_with(|| (key, BTreeMap::new()));
        // Parts of refused schemes share a role: one of them is enough to refuse.
        if let Some(other) = roles.insert(key.role, name)
            && !matches!(key.role, Role::Refused(_))
        {
            return Err(Error::Config {
                origin: file.origin(),
                why: format!(
                    "`{}` and `{}` are the same part of one layer",
                    shown(other),
                    shown(name)
                ),
            });
        }
    }
    Ok((layers.into_values().collect(), strangers))
}

/// What to say of tensors that changed nothing.
fn left_out(file: &Arc<dyn Weights>, names: &[String]) -> Option<String> {
    let first: Vec<_> = names.iter().take(LISTED).map(|name| shown(name)).collect();
    let more = match names.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = names
        .iter()
        .filter_map(|n| Key::parse(n))
        .any(|key| key.of_text_encoder());
    let hint = if text {
        "; changes of text encoders are not applied"
    } else {
        ""
    };
    (!names.is_empty()).then(|| {
        format!(
            "{}: {} tensors have no place in this model and are left out: {}{more}{hint}",
            file.origin(),
            names.len(),
            first.join(", ")
        )
    })
}

/// A name out of a file, fit for a terminal: of bounded length, and without characters that control it.
fn shown(name: &str) -> String {
    const LIMIT: usize = 120;
    match name.char_indices().nth(LIMIT) {
        None => name.escape_debug().to_string(),
        Some((end, _)) => format!("{}…", name[..end].escape_debug()),
    }
}
