//! One value, elementwise.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::text::Text;
use crate::{Activation, Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::reference;

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// An activation.
    Activation(Activation),
    /// min(max(x, low), high)
    Clamp,
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Elements to compute.
    pub count: u32,
    /// First element, of x and out alike.
    pub first: u32,
    /// Lower bound of the clamp.
    pub low: f32,
    /// Upper bound of the clamp.
    pub high: f32,
}

/// `x` and `out` may be the same range.
pub const BINDINGS: &[Binding] = &[PARAMS, arena("x"), arena("out")];

impl Kernel for Unary {
    type Params = Params;

    fn all() -> Vec<Self> {
        Activation::ALL
            .into_iter()
            .map(Self::Activation)
            .chain([Self::Clamp])
            .collect()
    }

    fn shader(&self) -> Shader {
        let (name, activation) = match self {
            Self::Activation(activation) => (activation.name(), *activation),
            Self::Clamp => ("clamp", Activation::None),
        };
        Shader {
            name: format!("unary.{name}"),
            source: Text::new(include_str!("kernel.wgsl"))
                .activation(activation)
                .constant("CLAMP", *self == Self::Clamp)
                .finish(),
            bindings: BINDINGS,
            workgroup_size: [256, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid(params.count.div_ceil(256))
    }
}
