//! Norm of each row, then weight and bias, then modulation, then activation.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::text::Text;
use crate::{Activation, Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
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

/// Invocations that share a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lanes {
    /// 16 rows in a workgroup of 256.
    L16,
    /// 4 rows.
    L64,
    /// 1 row.
    L256,
}

impl Lanes {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::L16, Self::L64, Self::L256];

    /// The choice for rows of `columns`.
    pub fn choose(columns: u32) -> Self {
        match columns {
            0..=128 => Self::L16,
            129..=768 => Self::L64,
            _ => Self::L256,
        }
    }

    /// The number.
    pub fn count(self) -> u32 {
        match self {
            Self::L16 => 16,
            Self::L64 => 64,
            Self::L256 => 256,
        }
    }

    pub(crate) fn workgroups(self, rows: u32) -> [u32; 3] {
        flat_grid(rows.div_ceil(256 / self.count()))
    }
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
                    all.push(Self {
                        kind,
                        activation,
                        lanes,
                    });
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
        let text = Text::new(include_str!("kernel.wgsl"))
            .activation(self.activation)
            .constant("LAYER", self.kind == NormKind::Layer)
            .constant("L2", self.kind == NormKind::L2)
            .constant("LANES", self.lanes.count());
        Shader {
            name: format!("norm.{kind}.{}.{}", self.activation.name(), self.lanes.count()),
            source: text.finish(),
            bindings: BINDINGS,
            workgroup_size: [256, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        self.lanes.workgroups(params.rows)
    }
}
