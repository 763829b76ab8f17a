//! `out = alpha · A B`, both operands activations; A `[M, K]`, B `[N, K]` (transposed) or `[K, N]`. A product can be cut
//! along K: `out = alpha · (out + A B)` goes on from what an earlier call left, and changes no bit of the whole sums.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena};
use crate::linear::Tile;
use crate::text::Text;
use crate::{Binding, Factors, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::{Operands, reference};

/// A variant. For scores round both operands, for probabilities times values only B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Matmul {
    /// B is `[N, K]`; `[K, N]` otherwise.
    pub transposed: bool,
    /// A is rounded to f16 before the product.
    pub round_a: bool,
    /// B is rounded to f16 before the product.
    pub round_b: bool,
}

/// Uniform parameters. Offsets and strides are in elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Rows of A.
    pub m: u32,
    /// Columns of the result.
    pub n: u32,
    /// Length of the products.
    pub k: u32,
    /// Factor.
    pub alpha: f32,
    /// First element of A.
    pub a_offset: u32,
    /// Row stride of A.
    pub a_stride: u32,
    /// First element of B.
    pub b_offset: u32,
    /// Row stride of B as it is stored.
    pub b_stride: u32,
    /// First element of the result.
    pub out_offset: u32,
    /// Row stride of the result.
    pub out_stride: u32,
    /// Sums begin with what `out` holds; with zeros where this is 0.
    pub accumulate: u32,
    /// Nothing.
    pub _pad: u32,
}

/// See [`crate::Shader::bindings`].
pub const BINDINGS: &[Binding] = &[PARAMS, arena("a"), arena("b"), arena("out")];

fn held(round: bool) -> Factors {
    Factors::choose(round, Features::default(), 0)
}

impl Kernel for Matmul {
    type Params = Params;

    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for transposed in [true, false] {
            for round_a in [false, true] {
                for round_b in [false, true] {
                    all.push(Self {
                        transposed,
                        round_a,
                        round_b,
                    });
                }
            }
        }
        all
    }

    fn shader(&self) -> Shader {
        let text = Text::new(include_str!("kernel.wgsl"))
            .floats(held(self.round_a), held(self.round_b))
            .tile(Tile::Square, Factors::F32, !self.transposed)
            .snippet("first_sums", include_str!("first_sums.wgsl"));
        let layout = if self.transposed { "nk" } else { "kn" };
        let rounding = match (self.round_a, self.round_b) {
            (false, false) => "",
            (true, false) => ".f16_a",
            (false, true) => ".f16_b",
            (true, true) => ".f16",
        };
        Shader {
            name: format!("matmul.{layout}{rounding}"),
            needs: text.needs(),
            source: text.finish(),
            bindings: BINDINGS,
            workgroup_size: [Tile::Square.invocations(Factors::F32), 1, 1],
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        Tile::Square.workgroups(Factors::F32, params.m, params.n)
    }
}
