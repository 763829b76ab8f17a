//! The tensors of a transformer under every name that LoRAs use for them.

use std::collections::HashMap;

use kinora_quant::Weights;

use super::key::Key;
use crate::wan::names;

/// From the names of layers to the model's tensors.
pub(super) struct Targets {
    /// A layer's name to the canonical name of its tensor.
    names: HashMap<String, String>,
}

impl Targets {
    /// Those of a transformer in canonical names: diffusers' and original ones, with dots and with underscores.
    /// Layers go by the name of their weight without `.weight`, other tensors by their whole name.
    pub(super) fn new(transformer: &dyn Weights) -> Self {
        let mut names = HashMap::new();
        for tensor in transformer.names() {
            for name in [tensor.clone(), names::original_transformer(&tensor)] {
                let layer = name.strip_suffix(".weight").unwrap_or(&name);
                names.entry(layer.replace('.', "_")).or_insert_with(|| tensor.clone());
                names.entry(layer.to_owned()).or_insert_with(|| tensor.clone());
            }
        }
        Self { names }
    }

    /// The tensor that `key` changes, or whose bias it changes.
    pub(super) fn find(&self, key: &Key<'_>) -> Option<&str> {
        self.names.get(key.layer()).map(String::as_str)
    }
}
