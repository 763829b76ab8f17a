//! Queries and keys as int8 attention wants them: each head of a row quantised to signed bytes by its largest magnitude.
//!
//! A quantised row is the bytes of all heads, four in a `u32`, then the scale of each head (the bits of an f32), and words
//! that nobody reads up to a multiple of four: [`words`] in all, so that rows are read in vectors of four words.
//!
//! Keys are smoothed before (SageAttention, arXiv 2410.02367): their mean over all keys is subtracted. That adds the same
//! number to all scores of a query, which the softmax does not see, and leaves the bytes to what tells keys apart.

use bytemuck::{Pod, Zeroable};
use kinora_quant::int8::LEAST_SCALE;

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::{dequantize, reference};

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuantizeHeads {
    /// Whether `mean` is subtracted.
    pub smooth: bool,
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Rows to compute.
    pub rows: u32,
    /// Heads of a row.
    pub heads: u32,
    /// Elements of a head: a multiple of 4, 128 at most.
    pub head_dim: u32,
    /// First row, of x and out alike.
    pub first_row: u32,
}

/// Words of a quantised row of `heads` heads of `head_dim` elements.
pub const fn words(heads: u32, head_dim: u32) -> u32 {
    heads * head_dim / 4 + heads.next_multiple_of(4)
}

/// x is `[…, heads · head_dim]`, mean `[heads · head_dim]`; out holds words.
pub const BINDINGS: &[Binding] = &[PARAMS, arena("x"), arena("mean"), arena("out")];

impl Kernel for QuantizeHeads {
    type Params = Params;

    fn all() -> Vec<Self> {
        [false, true].map(|smooth| Self { smooth }).to_vec()
    }

    fn shader(&self) -> Shader {
        Shader {
            name: format!("quantize_heads.{}", if self.smooth { "smooth" } else { "plain" }),
            source: Text::new(include_str!("kernel.wgsl"))
                .constant("SMOOTH", self.smooth)
                .constant("LEAST_SCALE", LEAST_SCALE)
                .finish(),
            needs: Features::default(),
            bindings: BINDINGS,
            workgroup_size: [256, 1, 1],
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid((params.rows * params.heads).div_ceil(16))
    }
}
