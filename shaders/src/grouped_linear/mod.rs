//! `out = activation(x Wᵀ + bias)` with each row's own expert; W `[E · R, K]`, out `[slots, N]` sorted by expert.
//!
//! One dispatch for all experts: the tiles of an expert's rows lie behind each other, one more at most than it needs,
//! and a tile finds its expert by a search. Tiles without rows end at once.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, WEIGHT, arena};
use crate::linear::Tile;
use crate::text::Text;
use crate::{Activation, Binding, Factors, Kernel, Shader, WeightType};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::{Operands, reference};

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupedLinear {
    /// Format of W.
    pub weight: WeightType,
    /// How both factors are held.
    pub factors: Factors,
    /// x has a row for each token; for each place otherwise.
    pub from_tokens: bool,
    /// Of the result.
    pub activation: Activation,
}

impl GroupedLinear {
    /// Rows of a tile.
    pub const TILE_ROWS: u32 = 64;

    const TILE: Tile = Tile::Square;

    /// Tiles that serve `slots` slots, however they are divided among `experts` experts.
    pub fn tiles(slots: u32, experts: u32) -> u32 {
        slots / Self::TILE_ROWS + experts
    }
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Columns of the result.
    pub n: u32,
    /// Elements of a row of x and W.
    pub k: u32,
    /// First tile to compute, of [`GroupedLinear::tiles`].
    pub first_tile: u32,
    /// Tiles to compute, at most 65,535.
    pub tiles: u32,
    /// Rows of the result.
    pub slots: u32,
    /// All experts.
    pub experts: u32,
    /// The expert of the first bound row of W. Tiles of experts that are not bound are left alone.
    pub first_expert: u32,
    /// The expert behind the last that is bound.
    pub last_expert: u32,
    /// R: rows of W for each expert.
    pub expert_rows: u32,
    /// The first of them that is used.
    pub first_row: u32,
    /// Slots of a token.
    pub per_row: u32,
    /// [`crate::flags`]: BIAS.
    pub flags: u32,
}

/// `groups` is the result of [`crate::group_by_expert`]; `bias` is `[E · R]`.
pub const BINDINGS: &[Binding] = &[PARAMS, WEIGHT, arena("x"), arena("groups"), arena("bias"), arena("out")];

impl Kernel for GroupedLinear {
    type Params = Params;

    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for weight in WeightType::all() {
            for factors in Factors::ALL {
                for from_tokens in [false, true] {
                    for activation in Activation::ALL {
                        all.push(Self {
                            weight,
                            factors,
                            from_tokens,
                            activation,
                        });
                    }
                }
            }
        }
        all
    }

    fn shader(&self) -> Shader {
        let text = Text::new(include_str!("kernel.wgsl"))
            .weight(self.weight)
            .floats(self.factors, self.factors)
            .activation(self.activation)
            .x_by_fours(false)
            .constant("FROM_TOKENS", self.from_tokens)
            .tile(Self::TILE, self.factors, false);
        let source = if self.from_tokens { "tokens" } else { "places" };
        Shader {
            name: format!(
                "grouped_linear.{}{}.{}.{source}",
                self.weight.name(),
                self.factors.suffix(),
                self.activation.name()
            ),
            needs: text.needs(),
            source: text.finish(),
            bindings: BINDINGS,
            workgroup_size: [Self::TILE.invocations(self.factors), 1, 1],
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        Self::TILE.workgroups(self.factors, params.tiles * Self::TILE_ROWS, params.n)
    }
}
