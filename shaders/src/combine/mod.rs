//! Σ coefficientᵢ · inputᵢ over one to four inputs.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::reference;

/// The only variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Combine;

/// Most inputs.
pub const MAX_INPUTS: usize = 4;

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Elements to compute.
    pub count: u32,
    /// First element, of the inputs and out alike.
    pub first: u32,
    /// Inputs, 1 to 4.
    pub inputs: u32,
    /// Nothing.
    pub _pad: u32,
}

/// Inputs that are not there are not read.
pub const BINDINGS: &[Binding] = &[
    PARAMS,
    arena("coefficients"),
    arena("a"),
    arena("b"),
    arena("c"),
    arena("d"),
    arena("out"),
];

impl Kernel for Combine {
    type Params = Params;

    fn all() -> Vec<Self> {
        vec![Self]
    }

    fn shader(&self) -> Shader {
        Shader {
            name: "combine".to_owned(),
            source: Text::new(include_str!("kernel.wgsl")).finish(),
            bindings: BINDINGS,
            workgroup_size: [256, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid(params.count.div_ceil(256))
    }
}
