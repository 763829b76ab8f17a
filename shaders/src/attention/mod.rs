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
    pub const ALL: [Self; 3] = [Self::D64, Self::D128, Self::D256];

    /// The class of a head, `None` beyond [`MAX_HEAD_DIM`].
    pub fn choose(head_dim: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|d| head_dim <= d.bound())
    }

    fn bound(self) -> u32 {
        match self {
            Self::D64 => 64,
            Self::D128 => 128,
            Self::D256 => 256,
        }
    }
}

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attention {
    /// See [`HeadDim`].
    pub head_dim: HeadDim,
    /// q, k and v are rounded to f16 before they are multiplied (the probabilities are not).
    pub round_f16: bool,
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

/// Queries of a workgroup.
pub const QUERY_TILE: u32 = 32;

impl Kernel for Attention {
    type Params = Params;

    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for head_dim in HeadDim::ALL {
            for round_f16 in [false, true] {
                all.push(Self { head_dim, round_f16 });
            }
        }
        all
    }

    fn shader(&self) -> Shader {
        let bound = self.head_dim.bound();
        let rounding = if self.round_f16 { ".f16" } else { "" };
        Shader {
            name: format!("attention.{bound}{rounding}"),
            source: Text::new(include_str!("kernel.wgsl"))
                .constant("CHUNKS", bound / 64)
                .constant("ROUND_A", self.round_f16)
                .finish(),
            bindings: BINDINGS,
            workgroup_size: [64, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        [params.queries.div_ceil(QUERY_TILE), params.heads, params.batch]
    }
}
