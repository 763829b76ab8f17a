//! `out = epilogue(x Wᵀ + bias)`; x `[M, K]`, W `[N, K]`, out `[M, N]`.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, WEIGHT, arena};
use crate::text::Text;
use crate::{Activation, Binding, Factors, Features, Kernel, Shader, WeightType};

mod cases;
mod parts;
mod reference;
mod tile;
pub use cases::{Case, cases, exact};
pub use parts::part_of_k;
pub(crate) use reference::finished;
pub use reference::{Operands, reference};
pub use tile::{FEW_ROWS, Tile};

/// What happens to the product before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// activation(y)
    Activation(Activation),
    /// gelu_tanh(y) · residual
    GeluTanhTimes,
    /// residual + y, with [`crate::flags::TABLE`] residual + gate · y
    Residual,
    /// y, the columns of several layers: [`Params::out_stride`] to each of as many parts of out. Columns are multiples of
    /// four.
    Apart,
    /// None: `[K / part_k, M, N]`, the sums of as many parts of K ([`Params::part_k`]), for [`crate::add_parts`]. There
    /// are none of bytes, nor but in [`Tile::MANY`].
    Parts,
}

impl Epilogue {
    /// Those of whole sums.
    pub const ALL: [Self; 7] = [
        Self::Activation(Activation::None),
        Self::Activation(Activation::Silu),
        Self::Activation(Activation::GeluTanh),
        Self::Activation(Activation::GeluErf),
        Self::GeluTanhTimes,
        Self::Residual,
        Self::Apart,
    ];

    /// As part of a shader's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Activation(activation) => activation.name(),
            Self::GeluTanhTimes => "gelu_tanh_times",
            Self::Residual => "residual",
            Self::Apart => "apart",
            Self::Parts => "parts",
        }
    }

    /// Defines what `epilogue.wgsl` and its parameters take.
    #[must_use]
    pub(crate) fn define(self, text: Text) -> Text {
        let activation = match self {
            Self::Activation(activation) => activation,
            Self::GeluTanhTimes => Activation::GeluTanh,
            Self::Residual | Self::Apart | Self::Parts => Activation::None,
        };
        text.snippet("params", include_str!("params.wgsl"))
            .snippet("epilogue", include_str!("epilogue.wgsl"))
            .constant("TIMES", self == Self::GeluTanhTimes)
            .constant("APART", self == Self::Apart)
            .constant("RESIDUAL", self == Self::Residual)
            .activation(activation)
    }
}

/// What is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// Numbers, those of W decoded.
    Float {
        /// Format of W.
        weight: WeightType,
        /// How both are held.
        factors: Factors,
    },
    /// Signed bytes: W of [`kinora_quant::DType::Int8`], x of [`crate::quantize_rows`]. Sums are exact; each is
    /// multiplied with the scales of its row and column.
    Int8,
}

impl Arithmetic {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let floats = WeightType::all().flat_map(|weight| Factors::ALL.map(|factors| Self::Float { weight, factors }));
        floats.chain([Self::Int8])
    }

    /// How both factors are held.
    pub fn factors(self) -> Factors {
        match self {
            Self::Float { factors, .. } => factors,
            Self::Int8 => Factors::F32,
        }
    }

    /// As part of a shader's name.
    pub fn name(self) -> String {
        match self {
            Self::Float { weight, factors } => format!("{}{}", weight.name(), factors.suffix()),
            Self::Int8 => "bytes".to_owned(),
        }
    }
}

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Linear {
    /// See [`Arithmetic`].
    pub arithmetic: Arithmetic,
    /// See [`Epilogue`].
    pub epilogue: Epilogue,
    /// See [`Tile`]. There are none in lanes of bytes.
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
    /// Input features: elements of a row of x and W.
    pub k: u32,
    /// First row, of x, residual, rows and out alike.
    pub first_row: u32,
    /// Rows in the binding before the first of W.
    pub first_weight_row: u32,
    /// First column, of out, residual and bias alike: W may be split by rows over several buffers.
    pub first_column: u32,
    /// Row stride of out and residual: all columns (of a part).
    pub out_stride: u32,
    /// [`crate::flags`]: BIAS; for the residual epilogue TABLE (a gate) and ROWS.
    pub flags: u32,
    /// Column of `table` with the gate of column 0.
    pub gate_column: u32,
    /// Columns of `table`.
    pub table_stride: u32,
    /// Elements from one part of out to the next ([`Epilogue::Apart`]).
    pub part_stride: u32,
    /// The same of bias.
    pub bias_stride: u32,
    /// Elements of a part of K, whole blocks of W ([`Epilogue::Parts`], [`crate::add_parts`]).
    pub part_k: u32,
    /// Nothing.
    pub _pad: [u32; 3],
}

/// `x` holds words where bytes are multiplied. `residual` is also the second factor of [`Epilogue::GeluTanhTimes`]; `rows` holds u32.
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
        for arithmetic in Arithmetic::all() {
            for epilogue in Epilogue::ALL.into_iter().chain([Epilogue::Parts]) {
                for tile in Tile::ALL {
                    let factors = arithmetic.factors();
                    let exists = match tile {
                        _ if epilogue == Epilogue::Parts => {
                            arithmetic != Arithmetic::Int8 && Tile::MANY.contains(&tile)
                        }
                        _ if tile.in_lanes() => arithmetic != Arithmetic::Int8 && factors == factors.in_registers(),
                        Tile::FewRows => factors == factors.in_registers(),
                        _ => true,
                    };
                    if !exists {
                        continue;
                    }
                    all.push(Self {
                        arithmetic,
                        epilogue,
                        tile,
                    });
                }
            }
        }
        all
    }

    fn shader(&self) -> Shader {
        let body = match self.tile {
            Tile::FewRows => include_str!("few_rows.wgsl"),
            Tile::FewLanes => include_str!("few_lanes.wgsl"),
            _ => include_str!("tiled.wgsl"),
        };
        let (range, sums) = match self.epilogue {
            Epilogue::Parts => ("", include_str!("parts.wgsl")),
            _ => ("//#include all_k", include_str!("whole.wgsl")),
        };
        let text = Text::new(include_str!("kernel.wgsl"))
            .snippet("body", body)
            .snippet("sums", sums)
            .x_by_fours(self.tile.in_lanes());
        let mut text = self.epilogue.define(text);
        text = match self.arithmetic {
            Arithmetic::Float { weight, factors } => text
                .snippet("operands", include_str!("f32.wgsl"))
                .snippet("range", range)
                .weight_by_fours(weight, self.tile.in_lanes())
                .floats(factors, self.tile.held_weight(weight, factors)),
            Arithmetic::Int8 => text.snippet("operands", include_str!("int8.wgsl")).bytes(),
        };
        text = match self.tile {
            Tile::FewRows => text,
            Tile::FewLanes => text.with(Features::LANES),
            _ => text.tile(self.tile, self.arithmetic.factors(), false),
        };
        Shader {
            name: format!(
                "linear.{}.{}.{}",
                self.arithmetic.name(),
                self.epilogue.name(),
                self.tile.name()
            ),
            needs: text.needs(),
            source: text.finish(),
            bindings: BINDINGS,
            workgroup_size: [self.tile.invocations(self.arithmetic.factors()), 1, 1],
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        let [x, y, z] = self.tile.workgroups(self.arithmetic.factors(), params.m, params.n);
        match self.epilogue {
            Epilogue::Parts => [x, y * (params.k / params.part_k), z],
            _ => [x, y, z],
        }
    }
}
