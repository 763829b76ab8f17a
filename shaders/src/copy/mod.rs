//! The same bits elsewhere: what the memory of a device can do at best.

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
pub struct Copy;

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Vectors of four words to copy.
    pub count: u32,
    /// First vector, of x and out alike.
    pub first: u32,
    /// Nothing.
    pub _pad: [u32; 2],
}

/// Words, by fours.
pub const BINDINGS: &[Binding] = &[PARAMS, arena("x"), arena("out")];

impl Kernel for Copy {
    type Params = Params;

    fn all() -> Vec<Self> {
        vec![Self]
    }

    fn shader(&self) -> Shader {
        Shader {
            name: "copy".to_owned(),
            source: Text::new(include_str!("kernel.wgsl")).finish(),
            needs: Features::default(),
            bindings: BINDINGS,
            workgroup_size: [256, 1, 1],
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid(params.count.div_ceil(256))
    }
}
