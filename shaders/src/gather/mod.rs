//! Rows of a table of weights, chosen by ids.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, WEIGHT, arena, flat_grid};
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader, WeightType};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::reference;

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gather {
    /// Format of the table.
    pub weight: WeightType,
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Ids to serve.
    pub rows: u32,
    /// Columns of the table.
    pub k: u32,
    /// First id, and first row of out. (first_row + rows) · k must be below 2³².
    pub first_row: u32,
    /// Rows in the binding before those of the table.
    pub first_weight_row: u32,
    /// The id of the first of its rows.
    pub first_id: u32,
    /// Rows bound: other ids leave their row of out alone, so that a table split over buffers takes several calls.
    pub ids: u32,
    /// Nothing.
    pub _pad: [u32; 2],
}

/// `ids` holds u32.
pub const BINDINGS: &[Binding] = &[PARAMS, WEIGHT, arena("ids"), arena("out")];

impl Kernel for Gather {
    type Params = Params;

    fn all() -> Vec<Self> {
        WeightType::all().map(|weight| Self { weight }).collect()
    }

    fn shader(&self) -> Shader {
        Shader {
            name: format!("gather.{}", self.weight.name()),
            source: Text::new(include_str!("kernel.wgsl"))
                .snippet("weight", self.weight.snippet())
                .finish(),
            bindings: BINDINGS,
            workgroup_size: [256, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid((params.rows * params.k).div_ceil(256))
    }
}
