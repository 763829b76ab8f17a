//! One number everywhere.

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
pub struct Fill;

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Elements to fill.
    pub count: u32,
    /// First element.
    pub first: u32,
    /// The number.
    pub value: f32,
    /// Nothing.
    pub _pad: u32,
}

/// See [`crate::Shader::bindings`].
pub const BINDINGS: &[Binding] = &[PARAMS, arena("out")];

impl Kernel for Fill {
    type Params = Params;

    fn all() -> Vec<Self> {
        vec![Self]
    }

    fn shader(&self) -> Shader {
        Shader {
            name: "fill".to_owned(),
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
