//! What shaders need, and devices have, beyond core WebGPU.

/// A set of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// Subgroup operations.
    pub subgroup: bool,
    /// Subgroups of at least eight invocations. Comes with the one above.
    pub subgroup8: bool,
    /// Half-precision variables and arithmetic.
    pub f16: bool,
    /// 48 KiB of workgroup memory.
    pub memory48: bool,
    /// Cooperative matrices of 8 x 8 and 8 x 8: factors in f16, sums in f32. Comes with subgroups and f16.
    pub matrix8: bool,
    /// The same of 16 x 16.
    pub matrix16: bool,
    /// Products of 8 x 16 with 16 x 16 matrices.
    pub matrix8x16x16: bool,
}

impl Features {
    /// Nothing beyond core WebGPU.
    pub const CORE: Self = Self {
        subgroup: false,
        subgroup8: false,
        f16: false,
        memory48: false,
        matrix8: false,
        matrix16: false,
        matrix8x16x16: false,
    };

    /// What kernels need that share loads by broadcasts among eight lanes.
    pub(crate) const LANES: Self = Self {
        subgroup: true,
        subgroup8: true,
        ..Self::CORE
    };

    /// These and `other`.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            subgroup: self.subgroup || other.subgroup,
            subgroup8: self.subgroup8 || other.subgroup8,
            f16: self.f16 || other.f16,
            memory48: self.memory48 || other.memory48,
            matrix8: self.matrix8 || other.matrix8,
            matrix16: self.matrix16 || other.matrix16,
            matrix8x16x16: self.matrix8x16x16 || other.matrix8x16x16,
        }
    }

    /// Whether there are cooperative matrices of any size.
    pub fn matrices(self) -> bool {
        self.matrix8 || self.matrix16 || self.matrix8x16x16
    }

    /// Workgroup memory in bytes that shaders may take where they need these.
    pub fn workgroup_memory(self) -> u32 {
        match self {
            Self { memory48: true, .. } => 48 << 10,
            _ if self.matrices() => 32 << 10,
            _ => 16 << 10,
        }
    }

    /// Whether a device with these features runs what needs `other`.
    pub fn cover(self, other: Self) -> bool {
        self.with(other) == self
    }
}
