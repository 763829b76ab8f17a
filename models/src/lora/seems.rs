//! What a LoRA seems to be for, told from its names and shapes.

use kinora_quant::Weights;

use super::key::{Half, Key, Piece, Role};
use crate::wan::Variant;

/// What is known of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// "LoRA", "LoHa", …; those that occur.
    pub schemes: Vec<&'static str>,
    /// Layers that it changes.
    pub layers: usize,
    /// The family whose layers have such names.
    pub family: Option<&'static str>,
    /// Official models of the family whose layers have that width.
    pub variants: Vec<Variant>,
}

/// Pieces of names that only some models have, the more telling first.
const FAMILIES: [(&str, &str); 14] = [
    ("single_transformer_blocks", "HunyuanVideo or Flux"),
    ("double_blocks", "HunyuanVideo or Flux"),
    ("individual_token_refiner", "HunyuanVideo"),
    ("transformer_blocks", "LTX-Video, CogVideoX or Mochi"),
    ("joint_blocks", "Stable Diffusion 3"),
    ("down_blocks", "Stable Diffusion"),
    ("input_blocks", "Stable Diffusion"),
    ("text_model", "a CLIP text encoder"),
    ("self_attn", WAN),
    ("cross_attn", WAN),
    ("attn1", WAN),
    ("attn2", WAN),
    ("ffn", WAN),
    ("qkv_x", "Mochi"),
];

const WAN: &str = "Wan";

/// Looks at the names of `file`; `None` where none of them is a part of a LoRA.
pub fn kind(file: &dyn Weights) -> Option<Kind> {
    let mut kind = Kind::default();
    let mut layers = std::collections::BTreeSet::new();
    let mut width = None;
    let names = file.names();
    for key in names.iter().filter_map(|name| Some((name, Key::parse(name)?))) {
        let (name, key) = key;
        layers.insert(key.module);
        let scheme = match key.role {
            Role::Up | Role::Down | Role::Mid => "LoRA",
            Role::Hada(..) => "LoHa",
            Role::Kron(..) => "LoKr",
            Role::Magnitude => "DoRA",
            Role::Diff | Role::DiffBias | Role::Set => "differences",
            Role::Refused(_) => "schemes that are not supported",
            Role::Alpha => continue,
        };
        if !kind.schemes.contains(&scheme) {
            kind.schemes.push(scheme);
        }
        let columns = matches!(key.role, Role::Down | Role::Hada(Half::First, Piece::B));
        let query = ["attn.q", "attn_q", "attn1.to_q", "attn1_to_q"]
            .iter()
            .any(|q| key.module.ends_with(q));
        if columns && query {
            width = width.or(file.info(name).and_then(|info| info.shape.get(1).copied()));
        }
    }
    kind.layers = layers.len();
    kind.family = FAMILIES
        .iter()
        .find(|(piece, _)| layers.iter().any(|layer| layer.contains(piece)))
        .map(|(_, family)| *family);
    if kind.family == Some(WAN) {
        let fits = |v: &Variant| Some(v.width()) == width;
        kind.variants = Variant::ALL.iter().map(|(_, v)| *v).filter(fits).collect();
    }
    (kind.layers > 0).then_some(kind)
}

impl Kind {
    /// Whether its layers have names that occur in Wan transformers.
    pub fn is_for_wan(&self) -> bool {
        self.family == Some(WAN)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.variants.as_slice(), self.family) {
            ([], None) => f.write_str("which model it is for cannot be told"),
            ([], Some(family)) => write!(f, "by its names it is for {family}"),
            (variants, _) => {
                let names: Vec<_> = variants.iter().map(|v| v.name()).collect();
                write!(f, "by its width it is for {}", names.join(", "))
            }
        }
    }
}
