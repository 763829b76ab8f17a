//! How the factors of a product are held while they are multiplied.

use crate::Features;

/// How workgroup memory holds the factors of a product. Products are summed in f32 throughout, along K in order, and
/// all ways to round give the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Factors {
    /// As f32.
    F32,
    /// Rounded to f16, two to a word: for devices without f16.
    PackedF16,
    /// Rounded to f16.
    F16,
}

impl Factors {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::PackedF16, Self::F16];

    /// The best of a device with these features, rounded to f16 or not.
    pub fn choose(round: bool, features: Features) -> Self {
        match (round, features.f16) {
            (false, _) => Self::F32,
            (true, false) => Self::PackedF16,
            (true, true) => Self::F16,
        }
    }

    /// Whether they are rounded to f16.
    pub fn rounded(self) -> bool {
        self != Self::F32
    }

    /// What a device must have for them.
    pub fn needs(self) -> Features {
        Features {
            f16: self == Self::F16,
            ..Features::default()
        }
    }

    /// What a shader's name says of them.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "",
            Self::PackedF16 => ".packed_f16",
            Self::F16 => ".f16",
        }
    }

    /// `$S`, `$s` stand for the factor's name.
    pub(crate) fn snippet(self) -> &'static str {
        match self {
            Self::F32 => include_str!("shared/held_whole.wgsl"),
            Self::PackedF16 => include_str!("shared/held_packed.wgsl"),
            Self::F16 => include_str!("shared/held_f16.wgsl"),
        }
    }
}
