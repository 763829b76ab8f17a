//! Slots sorted by expert, those of one expert in their order.
//!
//! The result has three parts: the slot of each place, the place of each slot, and the first place of each expert with
//! the number of slots behind the last.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub(crate) use cases::drawn;
pub use cases::{Case, cases};
pub use reference::reference;

/// The only variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupByExpert;

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Ids.
    pub slots: u32,
    /// All ids are below this.
    pub experts: u32,
    /// First expert to serve.
    pub first_expert: u32,
    /// The one behind the last.
    pub last_expert: u32,
}

/// `ids` and `out` hold u32.
pub const BINDINGS: &[Binding] = &[PARAMS, arena("ids"), arena("out")];

impl Kernel for GroupByExpert {
    type Params = Params;

    fn all() -> Vec<Self> {
        vec![Self]
    }

    fn shader(&self) -> Shader {
        Shader {
            name: "group_by_expert".into(),
            source: Text::new(include_str!("kernel.wgsl")).finish(),
            bindings: BINDINGS,
            workgroup_size: [256, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid(params.last_expert - params.first_expert)
    }
}
