//! Rows sorted by expert become rows of tokens: the weighted sum of each token's k, in the order of its choice.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::{Operands, reference};

/// The only variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScatterExperts;

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Tokens to compute.
    pub rows: u32,
    /// Columns of x and out. rows · columns must be below 2³².
    pub columns: u32,
    /// Slots of a token.
    pub k: u32,
    /// First token, of weights and out alike.
    pub first_row: u32,
    /// Its first slot, counted over all tokens.
    pub first_slot: u32,
    /// All slots.
    pub slots: u32,
    /// Nothing.
    pub _pad: [u32; 2],
}

/// `groups` is the result of [`crate::group_by_expert`].
pub const BINDINGS: &[Binding] = &[PARAMS, arena("x"), arena("groups"), arena("weights"), arena("out")];

impl Kernel for ScatterExperts {
    type Params = Params;

    fn all() -> Vec<Self> {
        vec![Self]
    }

    fn shader(&self) -> Shader {
        Shader {
            name: "scatter_experts".into(),
            source: Text::new(include_str!("kernel.wgsl")).finish(),
            bindings: BINDINGS,
            workgroup_size: [256, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid((params.rows * params.columns).div_ceil(256))
    }
}
