//! softmax(scale · q kᵀ + bias + mask) v for each batch and head, without storing the scores.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena};
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::{Operands, reference};

/// Upper bound of head_dim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadDim {
    /// 32: of [`Tile::Lanes`] alone.
    D32,
    /// Up to 64.
    D64,
    /// Up to 128.
    D128,
    /// Up to 256.
    D256,
}

/// The largest head that [`Attention`] takes; beyond, use matmul, softmax, matmul.
pub const MAX_HEAD_DIM: u32 = 256;

impl HeadDim {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::D32, Self::D64, Self::D128, Self::D256];

    fn choose(head_dim: u32, tile: Tile, round_f16: bool) -> Option<Self> {
        let mut classes = Self::ALL.into_iter().filter(|d| tile.takes(*d, round_f16));
        classes.find(|d| head_dim == d.bound() || (head_dim < d.bound() && tile != Tile::Lanes))
    }

    fn bound(self) -> u32 {
        match self {
            Self::D32 => 32,
            Self::D64 => 64,
            Self::D128 => 128,
            Self::D256 => 256,
        }
    }
}

/// How much one invocation computes. What it loads from workgroup memory serves so many products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tile {
    /// 4 x 4 scores, 256 invocations: few registers, many waves.
    Side4,
    /// 8 x 8 scores, 64 invocations: half the loads, for drivers on the processor, where loads cost most.
    Side8,
    /// 2 whole queries a lane, in the registers of 8 lanes: for drivers on the processor that emulate subgroups. Heads of
    /// exactly 32, 64 and, as they are, 128 (rounded, they take 5 s to compile), without a bias.
    Lanes,
}

impl Tile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Side4, Self::Side8, Self::Lanes];

    /// Whether there is a variant for such heads.
    fn takes(self, head_dim: HeadDim, round_f16: bool) -> bool {
        match (self, head_dim) {
            (Self::Side4 | Self::Side8, _) => head_dim != HeadDim::D32,
            (Self::Lanes, HeadDim::D32 | HeadDim::D64) => true,
            (Self::Lanes, HeadDim::D128) => !round_f16,
            (Self::Lanes, HeadDim::D256) => false,
        }
    }

    /// Queries of an invocation.
    fn each(self) -> u32 {
        match self {
            Self::Side4 => 4,
            Self::Side8 => 8,
            Self::Lanes => 2,
        }
    }

    /// Queries of a workgroup.
    fn queries(self) -> u32 {
        match self {
            Self::Side4 | Self::Side8 => QUERY_TILE,
            Self::Lanes => 16,
        }
    }
}

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attention {
    /// See [`HeadDim`].
    pub head_dim: HeadDim,
    /// See [`Tile`].
    pub tile: Tile,
    /// Operands are read in vectors of four, which needs a head of a multiple of four elements.
    pub by_four: bool,
    /// q, k and v are rounded to f16 before they are multiplied (the probabilities are not).
    pub round_f16: bool,
}

impl Attention {
    /// The variant for heads of `head_dim` elements, `None` beyond what the tile takes ([`MAX_HEAD_DIM`] at most).
    pub fn choose(head_dim: u32, tile: Tile, round_f16: bool) -> Option<Self> {
        Some(Self {
            head_dim: HeadDim::choose(head_dim, tile, round_f16)?,
            tile,
            by_four: head_dim.is_multiple_of(4),
            round_f16,
        })
    }
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Queries to compute, of each batch and head.
    pub queries: u32,
    /// First query.
    pub first_query: u32,
    /// Lq: all queries of a batch.
    pub query_length: u32,
    /// Lk: keys of a batch.
    pub key_length: u32,
    /// Heads.
    pub heads: u32,
    /// Elements of a head.
    pub head_dim: u32,
    /// Batches.
    pub batch: u32,
    /// [`crate::flags`]: BIAS, MASK.
    pub flags: u32,
    /// Factor of q kᵀ.
    pub scale: f32,
    /// Nothing.
    pub _pad: [u32; 3],
}

/// q and out are `[B, Lq, heads · head_dim]`, k and v `[B, Lk, heads · head_dim]`, bias `[Lq + Lk - 1, heads]`
/// (entry `j - i + Lq - 1`), mask `[Lk]`.
pub const BINDINGS: &[Binding] = &[
    PARAMS,
    arena("q"),
    arena("k"),
    arena("v"),
    arena("bias"),
    arena("mask"),
    arena("out"),
];

/// What the queries of a workgroup divide.
pub const QUERY_TILE: u32 = 64;

impl Kernel for Attention {
    type Params = Params;

    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for head_dim in HeadDim::ALL {
            for tile in Tile::ALL {
                for by_four in [true, false] {
                    for round_f16 in [false, true] {
                        if !tile.takes(head_dim, round_f16) || (tile == Tile::Lanes && !by_four) {
                            continue;
                        }
                        all.push(Self {
                            head_dim,
                            tile,
                            by_four,
                            round_f16,
                        });
                    }
                }
            }
        }
        all
    }

    fn shader(&self) -> Shader {
        let (bound, each) = (self.head_dim.bound(), self.tile.each());
        let side = QUERY_TILE / each;
        let text = Text::new(include_str!("kernel.wgsl")).constant("EACH", each);
        let (tile, invocations, text) = match self.tile {
            Tile::Lanes => (
                "lanes".to_owned(),
                8,
                text.snippet("body", include_str!("lanes.wgsl"))
                    .constant("VECTORS", bound / 4)
                    .with(Features::LANES),
            ),
            Tile::Side4 | Tile::Side8 => (
                format!("{each}x{each}"),
                side * side,
                text.snippet("body", include_str!("tiled.wgsl"))
                    .constant("SIDE", side)
                    .constant("GROUPS", each / 4)
                    .constant("PIECES", bound / 4 / side),
            ),
        };
        let mut name = format!("attention.{bound}.{tile}");
        let operands = if self.by_four {
            include_str!("by_four.wgsl")
        } else {
            name.push_str(".single");
            include_str!("single.wgsl")
        };
        if self.round_f16 {
            name.push_str(".f16");
        }
        let text = text.snippet("operands", operands).constant("ROUND", self.round_f16);
        Shader {
            name,
            needs: text.needs(),
            source: text.finish(),
            bindings: BINDINGS,
            workgroup_size: [invocations, 1, 1],
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        [params.queries.div_ceil(self.tile.queries()), params.heads, params.batch]
    }
}
