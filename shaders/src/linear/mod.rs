//! `out = epilogue(x Wᵀ + bias)`; x `[M, K]`, W `[N, K]`, out `[M, N]`.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, WEIGHT, arena, flat_grid};
use crate::text::Text;
use crate::{Activation, Binding, Kernel, Shader, WeightType};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::{Operands, reference};

/// What happens to the product before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// activation(y)
    Activation(Activation),
    /// gelu_tanh(y) · residual
    GeluTanhTimes,
    /// residual + y, with [`crate::flags::TABLE`] residual + gate · y
    Residual,
}

impl Epilogue {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Activation(Activation::None),
        Self::Activation(Activation::Silu),
        Self::Activation(Activation::GeluTanh),
        Self::Activation(Activation::GeluErf),
        Self::GeluTanhTimes,
        Self::Residual,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Activation(activation) => activation.name(),
            Self::GeluTanhTimes => "gelu_tanh_times",
            Self::Residual => "residual",
        }
    }
}

/// How the output is divided among workgroups. For given M and N of the whole operation choose once, whatever the
/// slices: the order of summation is the same for the two tiles, another one for few rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tile {
    /// 64 rows x 64 columns.
    Square,
    /// 128 rows x 32 columns: for few columns.
    Tall,
    /// Up to [`FEW_ROWS`] rows x 4 columns, 64 invocations along K.
    FewRows,
}

/// Most rows of [`Tile::FewRows`].
pub const FEW_ROWS: u32 = 8;

impl Tile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Square, Self::Tall, Self::FewRows];

    /// The choice for an output of `m` x `n`.
    pub fn choose(m: u32, n: u32) -> Self {
        if m <= FEW_ROWS {
            Self::FewRows
        } else {
            Self::choose_many(n)
        }
    }

    /// The choice among the two tiles.
    pub(crate) fn choose_many(n: u32) -> Self {
        if n <= 32 { Self::Tall } else { Self::Square }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Square => "square",
            Self::Tall => "tall",
            Self::FewRows => "few_rows",
        }
    }

    /// Invocations along the columns of a tile: each has 8 x 4 elements of the output, 128 a workgroup.
    pub(crate) fn across(self) -> u32 {
        match self {
            Self::Square => 16,
            Self::Tall => 8,
            Self::FewRows => 0,
        }
    }

    pub(crate) fn workgroups(self, m: u32, n: u32) -> [u32; 3] {
        match self {
            Self::Square => [n.div_ceil(64), m.div_ceil(64), 1],
            Self::Tall => [n.div_ceil(32), m.div_ceil(128), 1],
            Self::FewRows => flat_grid(n.div_ceil(4)),
        }
    }
}

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Linear {
    /// Format of W.
    pub weight: WeightType,
    /// Both operands are rounded to f16 before they are multiplied.
    pub round_f16: bool,
    /// See [`Epilogue`].
    pub epilogue: Epilogue,
    /// See [`Tile`].
    pub tile: Tile,
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Rows to compute.
    pub m: u32,
    /// Columns to compute: rows of W.
    pub n: u32,
    /// Input features: the row stride of x and W.
    pub k: u32,
    /// First row, of x, residual, rows and out alike.
    pub first_row: u32,
    /// Rows in the binding before the first of W.
    pub first_weight_row: u32,
    /// First column, of out, residual and bias alike: W may be split by rows over several buffers.
    pub first_column: u32,
    /// Row stride of out and residual: all columns.
    pub out_stride: u32,
    /// [`crate::flags`]: BIAS; for the residual epilogue TABLE (a gate) and ROWS.
    pub flags: u32,
    /// Column of `table` with the gate of column 0.
    pub gate_column: u32,
    /// Columns of `table`.
    pub table_stride: u32,
    /// Nothing.
    pub _pad: [u32; 2],
}

/// `residual` is also the second factor of [`Epilogue::GeluTanhTimes`]; `rows` holds u32.
pub const BINDINGS: &[Binding] = &[
    PARAMS,
    WEIGHT,
    arena("x"),
    arena("bias"),
    arena("residual"),
    arena("table"),
    arena("rows"),
    arena("out"),
];

impl Kernel for Linear {
    type Params = Params;

    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for weight in WeightType::all() {
            for round_f16 in [false, true] {
                for epilogue in Epilogue::ALL {
                    for tile in Tile::ALL {
                        all.push(Self {
                            weight,
                            round_f16,
                            epilogue,
                            tile,
                        });
                    }
                }
            }
        }
        all
    }

    fn shader(&self) -> Shader {
        let body = match self.tile {
            Tile::FewRows => include_str!("few_rows.wgsl"),
            _ => include_str!("tiled.wgsl"),
        };
        let activation = match self.epilogue {
            Epilogue::Activation(activation) => activation,
            Epilogue::GeluTanhTimes => Activation::GeluTanh,
            Epilogue::Residual => Activation::None,
        };
        let mut text = Text::new(include_str!("kernel.wgsl"))
            .snippet("weight", self.weight.snippet())
            .snippet("body", body)
            .constant("ROUND_A", self.round_f16)
            .constant("ROUND_B", self.round_f16)
            .constant("TIMES", self.epilogue == Epilogue::GeluTanhTimes)
            .constant("RESIDUAL", self.epilogue == Epilogue::Residual)
            .activation(activation);
        if self.tile != Tile::FewRows {
            text = text
                .constant("ACROSS", self.tile.across())
                .constant("B_COLUMNS_FIRST", false);
        }
        let rounding = if self.round_f16 { ".f16" } else { "" };
        Shader {
            name: format!(
                "linear.{}.{}.{}{rounding}",
                self.weight.name(),
                self.epilogue.name(),
                self.tile.name()
            ),
            source: text.finish(),
            bindings: BINDINGS,
            workgroup_size: [if self.tile == Tile::FewRows { 256 } else { 128 }, 1, 1],
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        self.tile.workgroups(params.m, params.n)
    }
}
