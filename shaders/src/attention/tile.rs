//! How attention is divided among workgroups.

use super::QUERY_TILE;
use crate::{Factors, Features};

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

/// The largest head that [`super::Attention`] takes; beyond, use matmul, softmax, matmul.
pub const MAX_HEAD_DIM: u32 = 256;

impl HeadDim {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::D32, Self::D64, Self::D128, Self::D256];

    /// The class of a head, `None` beyond [`MAX_HEAD_DIM`].
    pub(super) fn choose(head_dim: u32, tile: Tile) -> Option<Self> {
        let mut classes = Self::ALL.into_iter().filter(|d| *d != Self::D32 || tile == Tile::Lanes);
        classes.find(|d| head_dim <= d.bound())
    }

    pub(super) fn bound(self) -> u32 {
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
    /// Square cooperative matrices of these factors: heads of a multiple of four elements up to 128, rounded to f16,
    /// probabilities too.
    Matrices(Factors),
}

impl Tile {
    /// Those of single invocations.
    pub const SCALAR: [Self; 3] = [Self::Side4, Self::Side8, Self::Lanes];

    /// The best for heads of `head_dim` elements, rounded to f16 or not, on a device with these features, whose subgroups
    /// have at most `subgroup` invocations.
    pub fn choose(head_dim: u32, round_f16: bool, software: bool, features: Features, subgroup: u32) -> Self {
        // Subgroups of 64 take two turns where there is no memory for more.
        let factors = [Factors::choose(round_f16, features, subgroup), Factors::Matrix16];
        let mut matrices = factors.into_iter().map(Self::Matrices);
        let usable = |tile: &Self| tile.serves(head_dim, round_f16) && features.cover(tile.needs(head_dim));
        match (matrices.find(usable), software) {
            (Some(matrices), _) => matrices,
            (None, true) => Self::Side8,
            (None, false) => Self::Side4,
        }
    }

    /// Whether it serves a head of `head_dim` elements, rounded to f16 or not.
    pub fn serves(self, head_dim: u32, round_f16: bool) -> bool {
        match self {
            Self::Side4 | Self::Side8 => head_dim <= MAX_HEAD_DIM,
            Self::Lanes => matches!((head_dim, round_f16), (32 | 64, _) | (128, false)),
            Self::Matrices(factors) => {
                factors.square().is_some() && round_f16 && head_dim <= 128 && head_dim.is_multiple_of(4)
            }
        }
    }

    /// What a device must have for heads of `head_dim` elements.
    pub(super) fn needs(self, head_dim: u32) -> Features {
        match self {
            Self::Side4 | Self::Side8 => Features::CORE,
            Self::Lanes => Features::LANES,
            Self::Matrices(factors) => factors.needs().with(Features {
                memory48: factors == Factors::WideMatrix16 && head_dim > 64,
                ..Features::CORE
            }),
        }
    }

    /// As part of a shader's name, but for matrices.
    pub fn name(self) -> &'static str {
        match self {
            Self::Side4 => "4x4",
            Self::Side8 => "8x8",
            Self::Lanes => "lanes",
            Self::Matrices(_) => "matrices",
        }
    }

    /// The grid for so many queries, heads and batches.
    pub fn workgroups(self, queries: u32, heads: u32, batch: u32) -> [u32; 3] {
        [queries.div_ceil(self.queries()), heads, batch]
    }

    /// Queries of a workgroup: of matrices, those of four subgroups.
    pub(super) fn queries(self) -> u32 {
        match self {
            Self::Side4 | Self::Side8 => QUERY_TILE,
            Self::Lanes => 16,
            Self::Matrices(factors) => 4 * factors.square().unwrap_or_default(),
        }
    }
}
