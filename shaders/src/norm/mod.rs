//! Norm of each row, then weight and bias, then modulation, then activation.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena};
use crate::text::Text;
use crate::{Activation, Binding, Features, Kernel, Shader};

mod cases;
mod lanes;
mod reference;
pub use cases::{Case, cases};
pub use lanes::Lanes;
pub use reference::{Operands, reference};

/// Statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormKind {
    /// (x - mean) / sqrt(variance + eps)
    Layer,
    /// x / sqrt(mean(x²) + eps)
    Rms,
    /// sqrt(C) · x / max(‖x‖₂, eps)
    L2,
}

impl NormKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Layer, Self::Rms, Self::L2];
}

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Norm {
    /// Statistics.
    pub kind: NormKind,
    /// None or SiLU (others work too, but are not among [`Kernel::all`]).
    pub activation: Activation,
    /// See [`Lanes`].
    pub lanes: Lanes,
    /// All columns are multiples of four: rows are read four elements at a time. [`Lanes::L1`] has no other way.
    pub by_fours: bool,
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Rows to compute.
    pub rows: u32,
    /// C
    pub columns: u32,
    /// First row, of x, rows and out alike.
    pub first_row: u32,
    /// [`crate::flags`]: WEIGHT, BIAS, TABLE (modulation), ROWS.
    pub flags: u32,
    /// First column of the shift in `table`.
    pub shift_column: u32,
    /// First column of the scale in `table`.
    pub scale_column: u32,
    /// Columns of `table`.
    pub table_stride: u32,
    /// See [`NormKind`].
    pub eps: f32,
}

/// `scale` is the norm's weight `[C]`; `rows` holds u32.
pub const BINDINGS: &[Binding] = &[
    PARAMS,
    arena("x"),
    arena("scale"),
    arena("bias"),
    arena("table"),
    arena("rows"),
    arena("out"),
];

impl Kernel for Norm {
    type Params = Params;

    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for kind in NormKind::ALL {
            for activation in [Activation::None, Activation::Silu] {
                for lanes in Lanes::ALL {
                    // One invocation's sum of single elements would be long, and the less exact.
                    let singly = (lanes != Lanes::L1).then_some(false);
                    all.extend(singly.into_iter().chain([true]).map(|by_fours| Self {
                        kind,
                        activation,
                        lanes,
                        by_fours,
                    }));
                }
            }
        }
        all
    }

    fn shader(&self) -> Shader {
        let kind = match self.kind {
            NormKind::Layer => "layer",
            NormKind::Rms => "rms",
            NormKind::L2 => "l2",
        };
        let (suffix, part, width) = match self.by_fours {
            true => ("", include_str!("by_fours.wgsl"), 4),
            false => (".singly", include_str!("single.wgsl"), 1),
        };
        let text = Text::new(include_str!("kernel.wgsl"))
            .activation(self.activation)
            .snippet("part", part)
            .constant("WIDTH", width)
            .constant("LAYER", self.kind == NormKind::Layer)
            .constant("L2", self.kind == NormKind::L2);
        Shader {
            name: format!("norm.{kind}.{}.{}{suffix}", self.activation.name(), self.lanes.count()),
            source: self.lanes.constants(text, width).finish(),
            bindings: BINDINGS,
            workgroup_size: [self.lanes.workgroup(), 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        self.lanes.workgroups(params.rows)
    }
}
