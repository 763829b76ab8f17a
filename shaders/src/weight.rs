//! How weights are stored in the buffers of [`crate::BindingKind::Weights`].

use kinora_quant::DType;

/// A format of weights. Each is one decoder snippet in `shared/`, which declares binding 1 and `load_weight(i)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightType {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision, two in a `u32`, the first in the low half.
    F16,
    /// The upper half of an `f32`, two in a `u32`, the first in the low half.
    BF16,
}

impl WeightType {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::BF16];

    /// The format of a stored type, where kernels can read it.
    pub fn from_dtype(dtype: DType) -> Option<Self> {
        Self::ALL.into_iter().find(|w| w.dtype() == dtype)
    }

    /// The stored type.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
        }
    }

    pub(crate) fn snippet(self) -> &'static str {
        match self {
            Self::F32 => include_str!("shared/weight_f32.wgsl"),
            Self::F16 => include_str!("shared/weight_f16.wgsl"),
            Self::BF16 => include_str!("shared/weight_bf16.wgsl"),
        }
    }
}
