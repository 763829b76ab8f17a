//! `out = epilogue(x Wᵀ + bias)`; x `[M, K]`, W `[N, K]`, out `[M, N]`.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, WEIGHT, arena, flat_grid};
use crate::text::Text;
use crate::{Activation, Binding, Factors, Features, Kernel, Shader, WeightType};

mod cases;
mod parts;
mod reference;
pub use cases::{Case, cases, exact};
pub use parts::part_of_k;
pub(crate) use reference::finished;
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

/// How the output is divided among workgroups. For given M and N of the whole operation choose once, whatever the
/// slices: the order of summation is the same for all tiles, another one for few rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tile {
    /// 64 rows x 64 columns.
    Square,
    /// 128 rows x 64 columns, of matrices 128: reads the least from workgroup memory, takes some 150 registers an
    /// invocation; for outputs that fill a device.
    Large,
    /// 128 rows x 32 columns: for few columns.
    Tall,
    /// 32 rows x 128 columns: for rather few rows.
    Flat,
    /// Up to [`FEW_ROWS`] rows x 4 columns, 64 invocations along K.
    FewRows,
    /// 32 rows x 32 columns in the registers of eight lanes: for drivers on the processor. K is a multiple of four.
    Lanes,
    /// 4 rows x 32 columns in the same way: for few rows.
    FewLanes,
}

/// Most rows of [`Tile::FewRows`], and up to which [`Tile::FewLanes`] is the faster.
pub const FEW_ROWS: u32 = 8;

impl Tile {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Square,
        Self::Large,
        Self::Tall,
        Self::Flat,
        Self::FewRows,
        Self::Lanes,
        Self::FewLanes,
    ];

    /// Those through workgroup memory.
    pub const MANY: [Self; 4] = [Self::Square, Self::Large, Self::Tall, Self::Flat];

    /// The choice for an output of `m` x `n`; [`Self::Large`] from `large_from` elements on.
    pub fn choose(m: u32, n: u32, large_from: u64) -> Self {
        if m <= FEW_ROWS {
            Self::FewRows
        } else {
            Self::choose_many(m, n, large_from)
        }
    }

    /// The choice of those in lanes for an output of `m` rows.
    pub fn choose_lanes(m: u32) -> Self {
        if m <= FEW_ROWS { Self::FewLanes } else { Self::Lanes }
    }

    /// The choice among [`Self::MANY`].
    pub(crate) fn choose_many(m: u32, n: u32, large_from: u64) -> Self {
        if n <= 32 {
            Self::Tall
        } else if m <= 32 {
            Self::Flat
        } else if u64::from(m) * u64::from(n) >= large_from {
            Self::Large
        } else {
            Self::Square
        }
    }

    /// Whether factors are multiplied as they are loaded: such tiles exist for [`Factors::in_registers`] alone.
    pub fn in_registers(self) -> bool {
        self == Self::FewRows || self.in_lanes()
    }

    /// Whether subgroups share what their lanes load; K is a multiple of four.
    pub(crate) fn in_lanes(self) -> bool {
        matches!(self, Self::Lanes | Self::FewLanes)
    }

    /// How weights are held: in lanes those that are f16 already need no rounding.
    pub(crate) fn held_weight(self, weight: WeightType, factors: Factors) -> Factors {
        match (self.in_lanes(), weight) {
            (true, WeightType::F16) => Factors::F32,
            _ => factors,
        }
    }

    /// As part of a shader's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Square => "square",
            Self::Large => "large",
            Self::Tall => "tall",
            Self::Flat => "flat",
            Self::FewRows => "few_rows",
            Self::Lanes => "lanes",
            Self::FewLanes => "few_lanes",
        }
    }

    pub(crate) fn layout(self) -> Layout {
        let (down, across, quads) = match self {
            Self::Square => (8, 16, 1),
            Self::Large => (16, 8, 2),
            Self::Tall => (16, 8, 1),
            Self::Flat => (4, 32, 1),
            Self::Lanes => (4, 8, 1),
            Self::FewRows | Self::FewLanes => (1, 1, 1),
        };
        Layout { down, across, quads }
    }

    /// Rows and columns of those in [`Self::MANY`], and in lanes.
    pub(crate) fn size(self, factors: Factors) -> [u32; 2] {
        match (self, factors.matrix()) {
            (Self::FewLanes, _) => [4, 32],
            (Self::Large, Some(_)) if factors.square().is_some() => [128, 128],
            _ => [self.layout().rows(), self.layout().columns()],
        }
    }

    /// How subgroups divide a tile of matrices, along rows and columns.
    pub(crate) fn roles(self, factors: Factors) -> [u32; 2] {
        match self {
            // Eight parts of 16 x 32, of `Large` 32 x 32: Intel's registers hold no more beside the next loads.
            _ if factors.square().is_none() => match self {
                Self::Tall => [8, 1],
                Self::Flat => [2, 4],
                _ => [4, 2],
            },
            Self::Tall => [4, 1],
            Self::Flat => [1, 4],
            // 64 x 32 of it take as many registers as invocations of narrow subgroups have to spare.
            Self::Large if factors != Factors::WideMatrix16 => [2, 4],
            _ => [2, 2],
        }
    }

    /// Invocations of a workgroup.
    pub(crate) fn invocations(self, factors: Factors) -> u32 {
        match self {
            Self::FewRows => 64,
            Self::Lanes | Self::FewLanes => 8,
            _ if factors.matrix().is_some() => factors.lanes() * self.roles(factors).iter().product::<u32>(),
            _ => self.layout().down * self.layout().across,
        }
    }

    /// The grid for an output of `m` x `n`.
    pub fn workgroups(self, factors: Factors, m: u32, n: u32) -> [u32; 3] {
        match self {
            Self::FewRows => flat_grid(n.div_ceil(4)),
            _ => {
                let [rows, columns] = self.size(factors);
                [n.div_ceil(columns), m.div_ceil(rows), 1]
            }
        }
    }
}

/// Parts of 8 rows and 4 `quads` columns of the output that make a tile: each one of 128 invocations has, except in
/// [`Tile::Lanes`], where lanes hold whole rows.
pub(crate) struct Layout {
    /// Parts along the rows.
    pub(crate) down: u32,
    /// Parts along the columns.
    pub(crate) across: u32,
    /// Groups of four columns of a part.
    pub(crate) quads: u32,
}

impl Layout {
    pub(crate) fn rows(&self) -> u32 {
        8 * self.down
    }

    pub(crate) fn columns(&self) -> u32 {
        4 * self.quads * self.across
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
