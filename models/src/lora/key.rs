//! Names of tensors in LoRA files: which layer, and which part of its change.

/// What a tensor is to the change of its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// `[N, R]` of a low-rank pair.
    Up,
    /// `[R, K]` of a low-rank pair.
    Down,
    /// `[R, R, kt, kh, kw]` between the two, of a convolution (LoCon).
    Mid,
    /// Scale of the change: alpha / rank.
    Alpha,
    /// Length of each row (or column) of the changed weight (DoRA).
    Magnitude,
    /// A difference of the whole weight.
    Diff,
    /// A difference of the bias.
    DiffBias,
    /// The weight itself, in place of the model's.
    Set,
    /// LoHa: `(w1a · w1b) ∘ (w2a · w2b)`.
    Hada(Half, Piece),
    /// LoKr: `w1 ⊗ w2`, each whole or a product.
    Kron(Half, Piece),
    /// A part of a scheme that is known and not applied.
    Refused(Scheme),
}

/// One of the two matrices that LoHa and LoKr multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Half {
    /// `w1`
    First,
    /// `w2`
    Second,
}

/// How a half is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Piece {
    /// All of it.
    Whole,
    /// The factor with its rows.
    A,
    /// The factor with its columns.
    B,
    /// The core between them, of a convolution (Tucker).
    Core,
}

/// Schemes that are told apart only to be refused by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `a1`, `a2`, `b1`, `b2`.
    Glora,
    /// Rotations of the weight, also BOFT.
    Oft,
    /// A weight made larger before it is changed.
    Reshape,
    /// A bias inside the low-rank pair.
    PairBias,
}

impl std::fmt::Display for Scheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Glora => "GLoRA",
            Self::Oft => "OFT or BOFT (rotations of the weights)",
            Self::Reshape => "a change of the weight's shape",
            Self::PairBias => "a bias inside the low-rank pair",
        })
    }
}

/// Endings of names. No ending is the end of another with the same rest.
const ENDINGS: [(&str, Role); 52] = {
    use Half::{First, Second};
    use Piece::{A, B, Core, Whole};
    use Role::{Alpha, Diff, DiffBias, Down, Hada, Kron, Magnitude, Mid, Refused, Set, Up};
    [
        (".lora_up.weight", Up),
        (".lora_down.weight", Down),
        (".lora_mid.weight", Mid),
        ("_lora.up.weight", Up),
        ("_lora.down.weight", Down),
        (".lora.up.weight", Up),
        (".lora.down.weight", Down),
        (".lora_linear_layer.up.weight", Up),
        (".lora_linear_layer.down.weight", Down),
        (".lora_B.weight", Up),
        (".lora_A.weight", Down),
        (".lora_B.default.weight", Up),
        (".lora_A.default.weight", Down),
        (".lora_B", Up),
        (".lora_A", Down),
        (".alpha", Alpha),
        (".dora_scale", Magnitude),
        (".lora_magnitude_vector", Magnitude),
        (".lora_magnitude_vector.weight", Magnitude),
        (".lora_magnitude_vector.default.weight", Magnitude),
        (".diff", Diff),
        (".w_norm", Diff),
        (".diff_b", DiffBias),
        (".b_norm", DiffBias),
        (".set_weight", Set),
        (".hada_w1_a", Hada(First, A)),
        (".hada_w1_b", Hada(First, B)),
        (".hada_t1", Hada(First, Core)),
        (".hada_w2_a", Hada(Second, A)),
        (".hada_w2_b", Hada(Second, B)),
        (".hada_t2", Hada(Second, Core)),
        (".lokr_w1", Kron(First, Whole)),
        (".lokr_w1_a", Kron(First, A)),
        (".lokr_w1_b", Kron(First, B)),
        (".lokr_t1", Kron(First, Core)),
        (".lokr_w2", Kron(Second, Whole)),
        (".lokr_w2_a", Kron(Second, A)),
        (".lokr_w2_b", Kron(Second, B)),
        (".lokr_t2", Kron(Second, Core)),
        (".a1.weight", Refused(Scheme::Glora)),
        (".a2.weight", Refused(Scheme::Glora)),
        (".b1.weight", Refused(Scheme::Glora)),
        (".b2.weight", Refused(Scheme::Glora)),
        (".oft_blocks", Refused(Scheme::Oft)),
        (".oft_diag", Refused(Scheme::Oft)),
        (".oft_R.weight", Refused(Scheme::Oft)),
        (".boft_R", Refused(Scheme::Oft)),
        (".rescale", Refused(Scheme::Oft)),
        (".reshape_weight", Refused(Scheme::Reshape)),
        (".lora_up.bias", Refused(Scheme::PairBias)),
        (".lora_B.bias", Refused(Scheme::PairBias)),
        (".lora_B.default.bias", Refused(Scheme::PairBias)),
    ]
};

/// What trainers put in front of a layer's name, also one after the other.
const PREFIXES: [&str; 11] = [
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "lora_unet__",
    "lora_unet_",
    "lora_transformer_",
    "transformer.",
    "model.",
    "unet.",
    "pipe.dit.",
    "module.",
];

/// In front of the layers of text encoders.
const TEXT_PREFIXES: [&str; 2] = ["lora_te", "text_encoder"];

/// A name taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// The layer as the file calls it: with its prefixes.
    pub module: &'a str,
    /// What the tensor is to the layer.
    pub role: Role,
}

impl<'a> Key<'a> {
    /// Takes `name` apart; `None` where it does not end like a part of a LoRA.
    pub fn parse(name: &'a str) -> Option<Self> {
        ENDINGS.iter().find_map(|(ending, role)| {
            let module = name.strip_suffix(ending).filter(|module| !module.is_empty())?;
            Some(Self { module, role: *role })
        })
    }

    /// Whether the layer is one of a text encoder.
    pub fn of_text_encoder(&self) -> bool {
        TEXT_PREFIXES.iter().any(|p| self.module.starts_with(p))
    }

    /// The layer's name without prefixes.
    pub fn layer(&self) -> &'a str {
        let mut layer = self.module;
        while let Some(rest) = PREFIXES.iter().find_map(|p| layer.strip_prefix(p)) {
            layer = rest;
        }
        layer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_spellings_of_trainers() {
        for (name, layer, role) in [
            (
                "diffusion_model.blocks.0.self_attn.q.lora_down.weight",
                "blocks.0.self_attn.q",
                Role::Down,
            ),
            (
                "model.diffusion_model.blocks.0.ffn.2.alpha",
                "blocks.0.ffn.2",
                Role::Alpha,
            ),
            (
                "lora_unet_blocks_3_cross_attn_k.lora_up.weight",
                "blocks_3_cross_attn_k",
                Role::Up,
            ),
            ("lora_unet__blocks_3_ffn_0.lora_up.weight", "blocks_3_ffn_0", Role::Up),
            (
                "transformer.blocks.1.attn1.to_q.lora_A.weight",
                "blocks.1.attn1.to_q",
                Role::Down,
            ),
            (
                "base_model.model.blocks.1.self_attn.q.lora_B.default.weight",
                "blocks.1.self_attn.q",
                Role::Up,
            ),
            (
                "base_model.model.transformer.blocks.1.attn2.to_k.lora_B",
                "blocks.1.attn2.to_k",
                Role::Up,
            ),
            ("blocks.1.attn2.to_k_lora.up.weight", "blocks.1.attn2.to_k", Role::Up),
            (
                "blocks.1.attn2.to_k.lora_linear_layer.down.weight",
                "blocks.1.attn2.to_k",
                Role::Down,
            ),
            (
                "diffusion_model.patch_embedding.diff_b",
                "patch_embedding",
                Role::DiffBias,
            ),
            (
                "diffusion_model.blocks.0.modulation.diff",
                "blocks.0.modulation",
                Role::Diff,
            ),
            ("diffusion_model.blocks.0.norm3.w_norm", "blocks.0.norm3", Role::Diff),
            (
                "lora_unet_blocks_0_ffn_0.lokr_w2_b",
                "blocks_0_ffn_0",
                Role::Kron(Half::Second, Piece::B),
            ),
        ] {
            let key = Key::parse(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((key.layer(), key.role), (layer, role), "{name}");
        }
        for name in [
            "blocks.0.self_attn.q.weight",
            ".alpha",
            "",
            "alpha",
            "lora_A.weight",
            ".lora_A.weight",
        ] {
            assert_eq!(Key::parse(name), None, "{name}");
        }
        assert!(Key::parse("lora_te1_x.alpha").unwrap().of_text_encoder());
    }

    #[test]
    fn one_ending_fits_each_name() {
        for (ending, role) in ENDINGS {
            let name = format!("x{ending}");
            let fitting: Vec<_> = ENDINGS.iter().filter(|(e, _)| name.ends_with(e)).collect();
            assert_eq!(fitting, [&(ending, role)]);
        }
    }

    proptest! {
        #[test]
        fn any_name_is_taken_apart_without_loss(name in ".*") {
            if let Some(key) = Key::parse(&name) {
                prop_assert!(name.starts_with(key.module) && key.module.ends_with(key.layer()));
            }
        }

        #[test]
        fn prefixes_and_endings_come_off(
            prefixes in proptest::collection::vec(proptest::sample::select(PREFIXES.to_vec()), 0..3),
            layer in "blocks[._][0-9]{1,2}[._](self_attn|ffn)[._][a-z0-9]{1,3}",
            (ending, role) in proptest::sample::select(ENDINGS.to_vec()),
        ) {
            let name = format!("{}{layer}{ending}", prefixes.concat());
            let key = Key::parse(&name).unwrap();
            prop_assert_eq!((key.layer(), key.role), (layer.as_str(), role));
        }
    }
}
