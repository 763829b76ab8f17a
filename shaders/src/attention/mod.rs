//! softmax(scale · q kᵀ + bias + mask) v for each batch and head, without storing the scores. Blocks of them can be left
//! out, and cost nothing then.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena};
use crate::text::Text;
use crate::{Binding, Factors, Kernel, Shader};

mod cases;
mod reference;
mod tile;
pub use cases::{Case, cases, trial};
pub use reference::{Operands, reference};
pub use tile::{HeadDim, MAX_HEAD_DIM, Tile};

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
    /// q and k are rows of [`crate::quantize_heads`], and scores are sums of integers; v alone may be rounded.
    pub int8: bool,
}

impl Attention {
    /// The variant for heads of `head_dim` elements, `None` where `tile` does not serve them.
    pub fn choose(head_dim: u32, tile: Tile, round_f16: bool) -> Option<Self> {
        Some(Self {
            head_dim: HeadDim::choose(head_dim, tile).filter(|_| tile.serves(head_dim, round_f16))?,
            tile,
            by_four: head_dim.is_multiple_of(4),
            round_f16,
            int8: false,
        })
    }

    /// The variant for int8 q and k with heads of `head_dim` elements: a multiple of 16, 128 at most. `None` for others.
    pub fn choose_int8(head_dim: u32, software: bool, round_f16: bool) -> Option<Self> {
        let tile = if software { Tile::Side8 } else { Tile::Side4 };
        let served = head_dim.is_multiple_of(16) && head_dim <= 128;
        let float = Self::choose(head_dim, tile, round_f16).filter(|_| served)?;
        Some(Self { int8: true, ..float })
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
    /// [`crate::flags`]: BIAS, MASK, BLOCKS.
    pub flags: u32,
    /// Factor of q kᵀ.
    pub scale: f32,
    /// Row of blocks of the first query to compute, which is the first of its block.
    pub first_block: u32,
    /// Blocks of a head; 0 where those of one serve all.
    pub head_blocks: u32,
    /// Nothing.
    pub _pad: u32,
}

/// q and out are `[B, Lq, heads · head_dim]`, k and v `[B, Lk, heads · head_dim]`, bias `[Lq + Lk - 1, heads]`
/// (entry `j - i + Lq - 1`), mask `[Lk]`, blocks `[⌈Lq / BLOCK⌉, ⌈Lk / BLOCK⌉]` of each head or of all: where one is zero,
/// its queries do not see its keys. A query that sees none gives zeros. As int8, rows of q and k have
/// [`crate::quantize_heads::words`].
pub const BINDINGS: &[Binding] = &[
    PARAMS,
    arena("q"),
    arena("k"),
    arena("v"),
    arena("bias"),
    arena("mask"),
    arena("blocks"),
    arena("out"),
];

/// What the queries of a workgroup divide.
pub const QUERY_TILE: u32 = 64;

/// Queries and keys of a block of scores: whole tiles of every variant.
pub const BLOCK: u32 = 64;

impl Kernel for Attention {
    type Params = Params;

    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for head_dim in HeadDim::ALL {
            for tile in Tile::SCALAR {
                for by_four in [true, false] {
                    for round_f16 in [false, true] {
                        let exists = match tile {
                            Tile::Lanes => by_four && tile.serves(head_dim.bound(), round_f16),
                            _ => head_dim != HeadDim::D32,
                        };
                        if !exists {
                            continue;
                        }
                        all.push(Self {
                            head_dim,
                            tile,
                            by_four,
                            round_f16,
                            int8: false,
                        });
                    }
                }
            }
        }
        for head_dim in [HeadDim::D64, HeadDim::D128] {
            all.extend(Factors::SQUARES.map(|factors| Self {
                head_dim,
                tile: Tile::Matrices(factors),
                by_four: true,
                round_f16: true,
                int8: false,
            }));
        }
        for head_dim in [64, 128] {
            for (software, round_f16) in [(false, false), (false, true), (true, false), (true, true)] {
                all.extend(Self::choose_int8(head_dim, software, round_f16));
            }
        }
        all
    }

    fn shader(&self) -> Shader {
        match self.tile {
            Tile::Side4 => self.by_sides(4),
            Tile::Side8 => self.by_sides(8),
            Tile::Lanes => self.by_lanes(),
            Tile::Matrices(factors) => self.by_matrices(factors),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        self.tile.workgroups(params.queries, params.heads, params.batch)
    }
}

impl Attention {
    /// Each invocation has `each` x `each` scores.
    fn by_sides(&self, each: u32) -> Shader {
        let side = QUERY_TILE / each;
        let text = Text::new(include_str!("kernel.wgsl"))
            .snippet("body", include_str!("tiled.wgsl"))
            .snippet(
                "lines",
                match self.int8 {
                    true => include_str!("lines_int8.wgsl"),
                    false => include_str!("lines_float.wgsl"),
                },
            )
            .constant("EACH", each)
            .constant("SIDE", side)
            .constant("GROUPS", each / 4)
            .constant("PIECES", self.head_dim.bound() / 4 / side);
        self.scalar(text, side * side)
    }

    fn by_lanes(&self) -> Shader {
        let text = Text::new(include_str!("kernel.wgsl"))
            .snippet("body", include_str!("lanes.wgsl"))
            .constant("EACH", 2)
            .constant("VECTORS", self.head_dim.bound() / 4)
            .with(self.tile.needs(self.head_dim.bound()));
        self.scalar(text, 8)
    }

    fn scalar(&self, text: Text, invocations: u32) -> Shader {
        let mut name = format!("attention.{}.{}", self.head_dim.bound(), self.tile.name());
        let operands = if self.by_four {
            include_str!("by_four.wgsl")
        } else {
            name.push_str(".single");
            include_str!("single.wgsl")
        };
        let factors = match (self.int8, self.by_four) {
            (true, _) => include_str!("factors_int8.wgsl"),
            (false, true) => include_str!("factors_by_four.wgsl"),
            (false, false) => include_str!("factors_single.wgsl"),
        };
        if self.int8 {
            name.push_str(".int8");
        }
        if self.round_f16 {
            name.push_str(".f16");
        }
        let text = text
            .snippet("operands", operands)
            .snippet("factors", factors)
            .constant("ROUND", self.round_f16)
            .constant("BLOCK", BLOCK);
        Shader {
            name,
            needs: text.needs(),
            source: text.finish(),
            bindings: BINDINGS,
            workgroup_size: [invocations, 1, 1],
        }
    }

    fn by_matrices(&self, factors: Factors) -> Shader {
        /// Keys of a tile.
        const KEYS: u32 = 32;
        let (bound, queries) = (self.head_dim.bound(), self.tile.queries());
        let size = factors.square().expect("factors that are square matrices");
        let invocations = 4 * factors.lanes();
        let blocks = KEYS * bound / 16;
        let loaders = blocks.min(invocations);
        // A matrix of queries takes four registers of 32 invocations; of 64 eight, for each quarter holds all of it, and
        // ACO counts them as sixteen. Matrices of 8, which only a software driver has, test the other way.
        let held = factors == Factors::Matrix16;
        let text = Text::new(include_str!("kernel.wgsl"))
            .snippet("operands", include_str!("by_four.wgsl"))
            .snippet("factors", include_str!("factors_by_four.wgsl"))
            .snippet("body", include_str!("matrix.wgsl"))
            .constant("BLOCK", BLOCK)
            .constant("ROUND", true)
            .with(self.tile.needs(bound))
            .matrices([size; 3])
            .constant("SIZE", size)
            .constant("KEYS", KEYS)
            .constant("BOUND", bound)
            .constant("INVOCATIONS", invocations)
            .constant("DEPTH", bound / size)
            .constant("ACROSS", KEYS / size)
            .constant("SHARERS", invocations / queries)
            .constant("VECTORS", KEYS / 4 * queries / invocations)
            .constant("LOADERS", loaders)
            .constant("BLOCKS", blocks / loaders)
            .constant("HELD", u32::from(held))
            .constant("READ", u32::from(!held));
        Shader {
            name: format!("attention.{bound}{}", factors.suffix()),
            needs: text.needs(),
            source: text.finish(),
            bindings: BINDINGS,
            workgroup_size: [invocations, 1, 1],
        }
    }
}
