//! Softmax of each row, in place or not; of scores with the bias, the mask and the blocks of attention.

use bytemuck::{Pod, Zeroable};

use crate::attention::BLOCK;
use crate::kernel::{PARAMS, arena, flat_grid};
use crate::norm::Lanes;
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::{Operands, reference};

/// The only variant: one workgroup a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Softmax;

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Rows to compute.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// First row, of x and out alike.
    pub first_row: u32,
    /// [`crate::flags`]: BIAS, MASK, BLOCKS.
    pub flags: u32,
    /// Element of `bias` for the first row computed and the first column.
    pub first_bias: u32,
    /// Elements of `bias` from a column to the next; a row's are as many before those of the row above.
    pub bias_stride: u32,
    /// Number of the first row computed among those that `blocks` counts.
    pub first_query: u32,
    /// First element of `blocks`.
    pub first_block: u32,
}

/// `x` and `out` may be the same range; `bias` and `blocks` are attention's, `mask` `[columns]`. What no block has becomes
/// zeros.
pub const BINDINGS: &[Binding] = &[
    PARAMS,
    arena("x"),
    arena("bias"),
    arena("mask"),
    arena("blocks"),
    arena("out"),
];

impl Kernel for Softmax {
    type Params = Params;

    fn all() -> Vec<Self> {
        vec![Self]
    }

    fn shader(&self) -> Shader {
        let text = Text::new(include_str!("kernel.wgsl")).constant("BLOCK", BLOCK);
        Shader {
            name: "softmax".to_owned(),
            source: Lanes::L256.constants(text, 1).finish(),
            bindings: BINDINGS,
            workgroup_size: [256, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid(params.rows)
    }
}
