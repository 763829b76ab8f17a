//! Two values, elementwise; the second repeats.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::reference;

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// a + b
    Add,
    /// a · b
    Mul,
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Elements to compute.
    pub count: u32,
    /// First element, of a and out alike.
    pub first: u32,
    /// Elements of b: element i of a meets element i mod this.
    pub b_count: u32,
    /// Nothing.
    pub _pad: u32,
}

/// `a` and `out` may be the same range.
pub const BINDINGS: &[Binding] = &[PARAMS, arena("a"), arena("b"), arena("out")];

impl Kernel for Binary {
    type Params = Params;

    fn all() -> Vec<Self> {
        vec![Self::Add, Self::Mul]
    }

    fn shader(&self) -> Shader {
        let name = match self {
            Self::Add => "binary.add",
            Self::Mul => "binary.mul",
        };
        Shader {
            name: name.to_owned(),
            source: Text::new(include_str!("kernel.wgsl"))
                .constant("MUL", *self == Self::Mul)
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
