//! RMS norm over all heads together, weight, then rotation of adjacent pairs; of one operand or of two at once.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena};
use crate::norm::Lanes;
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::{Operands, reference};

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QkNormRope {
    /// See [`Lanes`]; chosen by heads · head_dim.
    pub lanes: Lanes,
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Rows to compute.
    pub rows: u32,
    /// First row, of x, cos, sin and out alike.
    pub first_row: u32,
    /// Heads.
    pub heads: u32,
    /// Even.
    pub head_dim: u32,
    /// Added to the mean square.
    pub eps: f32,
    /// 1 or 2: q, or q and k.
    pub operands: u32,
    /// Nothing.
    pub _pad: [u32; 2],
}

/// `scale0` and `scale1` are the norms' weights `[heads · head_dim]`; cos and sin are `[L, head_dim / 2]`.
pub const BINDINGS: &[Binding] = &[
    PARAMS,
    arena("x0"),
    arena("x1"),
    arena("scale0"),
    arena("scale1"),
    arena("cosines"),
    arena("sines"),
    arena("out0"),
    arena("out1"),
];

impl Kernel for QkNormRope {
    type Params = Params;

    fn all() -> Vec<Self> {
        Lanes::ALL.into_iter().map(|lanes| Self { lanes }).collect()
    }

    fn shader(&self) -> Shader {
        let text = Text::new(include_str!("kernel.wgsl"));
        Shader {
            name: format!("qk_norm_rope.{}", self.lanes.count()),
            source: self.lanes.constants(text, 2).finish(),
            bindings: BINDINGS,
            workgroup_size: [self.lanes.workgroup(), 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        let [x, y, _] = self.lanes.workgroups(params.rows);
        [x, y, params.operands]
    }
}
