//! How weights are stored in the buffers of [`crate::BindingKind::Weights`].

use kinora_quant::DType;

/// A type of which kernels read weights: each whose format has a decoder in WGSL ([`kinora_quant::format`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightType(DType);

impl WeightType {
    /// IEEE 754 single precision.
    pub const F32: Self = Self(DType::F32);
    /// IEEE 754 half precision.
    pub const F16: Self = Self(DType::F16);
    /// The upper half of an `f32`.
    pub const BF16: Self = Self(DType::BF16);

    /// Signed bytes, with a scale for each row.
    pub const INT8: Self = Self(DType::Int8);

    /// All types.
    pub fn all() -> impl Iterator<Item = Self> {
        DType::all()
            .filter(|dtype| Self::from_dtype(*dtype).is_some_and(|w| w.0 == *dtype))
            .map(Self)
    }

    /// As what kernels read a stored type, where they can. Rotated rows are read as they are: it is the other factor
    /// that has to be rotated.
    pub fn from_dtype(dtype: DType) -> Option<Self> {
        let read = match dtype {
            DType::Int8ConvRot(_) => DType::Int8,
            _ => dtype,
        };
        read.format().wgsl.map(|_| Self(read))
    }

    /// The stored type.
    pub fn dtype(self) -> DType {
        self.0
    }

    /// The least length of a row that holds `k` elements in whole blocks.
    pub(crate) fn whole(self, k: u32) -> u32 {
        k.next_multiple_of(self.0.format().block as u32)
    }

    /// As part of a shader's name.
    pub fn name(self) -> String {
        self.0.name().to_lowercase().replace(' ', "_")
    }

    /// The decoder for rows of a multiple of four elements: plain numbers are read in vectors of four.
    pub(crate) fn snippet_by_fours(self) -> &'static str {
        match self {
            Self::F32 => include_str!("shared/f32_by_fours.wgsl"),
            Self::F16 => include_str!("shared/f16_by_fours.wgsl"),
            _ => self.snippet(),
        }
    }

    pub(crate) fn snippet(self) -> &'static str {
        self.0.format().wgsl.expect("a weight type has a decoder")
    }
}
