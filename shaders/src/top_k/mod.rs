//! Columns of the k highest elements of each row, highest first, of equal ones the first.

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
pub struct TopK;

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Rows to compute.
    pub rows: u32,
    /// Elements of a row.
    pub columns: u32,
    /// How many are chosen, at most `columns`.
    pub k: u32,
    /// First row, of logits and out alike.
    pub first_row: u32,
}

/// `out` holds u32, k for each row.
pub const BINDINGS: &[Binding] = &[PARAMS, arena("logits"), arena("out")];

impl Kernel for TopK {
    type Params = Params;

    fn all() -> Vec<Self> {
        vec![Self]
    }

    fn shader(&self) -> Shader {
        Shader {
            name: "top_k".into(),
            source: Text::new(include_str!("kernel.wgsl")).finish(),
            bindings: BINDINGS,
            workgroup_size: [64, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid(params.rows.div_ceil(64))
    }
}
