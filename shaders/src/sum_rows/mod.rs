//! Sums of rows, a block of them at a time: the means of columns by two runs, blocks in parallel and then their sums.
//!
//! Each sum is made in order, in f32, so that it has the same bits on every device.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena};
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::reference;

/// The only variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SumRows;

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Rows to sum.
    pub rows: u32,
    /// Elements of a row: a multiple of four.
    pub width: u32,
    /// Rows of a sum; the last one may have fewer. At most 65,535 sums.
    pub block: u32,
    /// First row of x.
    pub first_row: u32,
    /// First row of out.
    pub out_row: u32,
    /// What the sums are multiplied by.
    pub factor: f32,
    /// Nothing.
    pub _pad: [u32; 2],
}

/// x is `[…, width]`, out has a row for each block.
pub const BINDINGS: &[Binding] = &[PARAMS, arena("x"), arena("out")];

impl Kernel for SumRows {
    type Params = Params;

    fn all() -> Vec<Self> {
        vec![Self]
    }

    fn shader(&self) -> Shader {
        Shader {
            name: "sum_rows".to_owned(),
            source: Text::new(include_str!("kernel.wgsl")).finish(),
            needs: Features::default(),
            bindings: BINDINGS,
            workgroup_size: [64, 1, 1],
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        [params.width.div_ceil(256), params.rows.div_ceil(params.block), 1]
    }
}
