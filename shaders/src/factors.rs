//! How the factors of a product are held while they are multiplied.

use crate::Features;

/// How workgroup memory holds the factors of a product. Products are summed in f32 throughout, and all ways to round
/// give the same numbers; except within matrices, sums run along K in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Factors {
    /// As f32.
    F32,
    /// Rounded to f16, two to a word: for devices without f16.
    PackedF16,
    /// Rounded to f16.
    F16,
    /// Rounded to f16, multiplied as cooperative matrices of 8 x 8.
    Matrix8,
    /// The same of 16 x 16.
    Matrix16,
    /// The same where subgroups have 64 invocations.
    WideMatrix16,
    /// The same as products of 8 x 16 with 16 x 16: Intel's Arc B and Lunar Lake.
    Matrix8x16x16,
}

impl Factors {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::F32,
        Self::PackedF16,
        Self::F16,
        Self::Matrix8,
        Self::Matrix16,
        Self::WideMatrix16,
        Self::Matrix8x16x16,
    ];

    /// Those that are multiplied as square cooperative matrices.
    pub const SQUARES: [Self; 3] = [Self::Matrix8, Self::Matrix16, Self::WideMatrix16];

    /// The best of a device with these features and subgroups of at most `subgroup` invocations, rounded to f16 or not.
    pub fn choose(round: bool, features: Features, subgroup: u32) -> Self {
        match round {
            false => Self::F32,
            true if features.matrix16 && subgroup >= 64 => Self::WideMatrix16,
            true if features.matrix16 => Self::Matrix16,
            true if features.matrix8x16x16 => Self::Matrix8x16x16,
            true if features.matrix8 => Self::Matrix8,
            true if features.f16 => Self::F16,
            true => Self::PackedF16,
        }
    }

    /// Rows, columns and depth of a product of matrices, if it is matrices.
    pub fn matrix(self) -> Option<[u32; 3]> {
        match self {
            Self::F32 | Self::PackedF16 | Self::F16 => None,
            Self::Matrix8 => Some([8; 3]),
            Self::Matrix16 | Self::WideMatrix16 => Some([16; 3]),
            Self::Matrix8x16x16 => Some([8, 16, 16]),
        }
    }

    /// Rows of the matrices, if they are square.
    pub fn square(self) -> Option<u32> {
        self.matrix().filter(|[m, n, k]| m == n && n == k).map(|[m, ..]| m)
    }

    /// Invocations of the subgroups that matrices are divided for. Any others give the same numbers, more slowly.
    pub(crate) fn lanes(self) -> u32 {
        match self {
            Self::WideMatrix16 => 64,
            _ => 32,
        }
    }

    /// The same numbers for a product that keeps them in registers: compilers may leave out a way to f16 and back, but
    /// not that into words.
    pub fn in_registers(self) -> Self {
        match self {
            Self::F32 => Self::F32,
            _ => Self::PackedF16,
        }
    }

    /// Whether they are rounded to f16.
    pub fn rounded(self) -> bool {
        self != Self::F32
    }

    /// What a device must have for them.
    pub fn needs(self) -> Features {
        Features {
            subgroup: self.matrix().is_some(),
            subgroup8: false,
            f16: !matches!(self, Self::F32 | Self::PackedF16),
            memory48: false,
            matrix8: self == Self::Matrix8,
            matrix16: self.square() == Some(16),
            matrix8x16x16: self == Self::Matrix8x16x16,
        }
    }

    /// What a shader's name says of them.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "",
            Self::PackedF16 => ".packed_f16",
            Self::F16 => ".f16",
            Self::Matrix8 => ".matrix8",
            Self::Matrix16 => ".matrix16",
            Self::WideMatrix16 => ".wide_matrix16",
            Self::Matrix8x16x16 => ".matrix8x16x16",
        }
    }

    /// `$S`, `$s` stand for the factor's name.
    pub(crate) fn snippet(self) -> &'static str {
        match self {
            Self::F32 => include_str!("shared/held_whole.wgsl"),
            Self::PackedF16 => include_str!("shared/held_packed.wgsl"),
            _ => include_str!("shared/held_f16.wgsl"),
        }
    }
}
