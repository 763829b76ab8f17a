//! Rows as int8 products want them: rotated in groups where the weight is, then quantised to signed bytes.
//!
//! A quantised row is the elements, four in a `u32`, zeros up to a whole one, and the row's scale (the bits of an
//! f32): [`words`] in all.

use bytemuck::{Pod, Zeroable};
use kinora_quant::Rotation;
use kinora_quant::int8::LEAST_SCALE;

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::reference;

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuantizeRows {
    /// Rotated where there is a rotation, then quantised.
    Int8(Option<Rotation>),
    /// Only rotated: the result is f32, `[…, K]`.
    Rotate(Rotation),
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Rows to compute.
    pub rows: u32,
    /// Elements of a row: whole groups of the rotation.
    pub k: u32,
    /// First row, of x and out alike.
    pub first_row: u32,
    /// Nothing.
    pub _pad: u32,
}

/// Words of a quantised row of `k` elements.
pub const fn words(k: u32) -> u32 {
    k.div_ceil(4) + 1
}

/// `out` holds words.
pub const BINDINGS: &[Binding] = &[PARAMS, arena("x"), arena("out")];

impl QuantizeRows {
    fn rotation(self) -> Option<Rotation> {
        match self {
            Self::Int8(rotation) => rotation,
            Self::Rotate(rotation) => Some(rotation),
        }
    }

    /// Words of a row of the result.
    pub fn out_words(self, k: u32) -> u32 {
        match self {
            Self::Int8(_) => words(k),
            Self::Rotate(_) => k,
        }
    }
}

impl Kernel for QuantizeRows {
    type Params = Params;

    fn all() -> Vec<Self> {
        let rotated = Rotation::ALL
            .into_iter()
            .flat_map(|r| [Self::Int8(Some(r)), Self::Rotate(r)]);
        std::iter::once(Self::Int8(None)).chain(rotated).collect()
    }

    fn shader(&self) -> Shader {
        let (name, body) = match self {
            Self::Int8(_) => ("int8", include_str!("int8.wgsl")),
            Self::Rotate(_) => ("f32", include_str!("f32.wgsl")),
        };
        let group = self.rotation().map_or(1, Rotation::group) as u32;
        Shader {
            name: format!("quantize_rows.{name}.{group}"),
            source: Text::new(include_str!("kernel.wgsl"))
                .constant("GROUP", group)
                .constant("LEAST_SCALE", LEAST_SCALE)
                .snippet("body", body)
                .finish(),
            bindings: BINDINGS,
            workgroup_size: [256, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid(params.rows)
    }
}
