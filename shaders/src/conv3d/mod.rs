//! Convolution over `[T, H, W, C]` as an implicit matrix product; frames of a cache come before x.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, WEIGHT, arena};
use crate::linear::Tile;
use crate::text::Text;
use crate::{Binding, Factors, Kernel, Shader, WeightType};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::{Operands, reference};

/// A variant. [`Tile::FewRows`] does not exist here; for [`Tile::Lanes`] see [`Tile::in_registers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv3d {
    /// Format of the weight.
    pub weight: WeightType,
    /// How both factors are held.
    pub factors: Factors,
    /// See [`Tile`].
    pub tile: Tile,
    /// Input channels are loaded by fours: C is a multiple of four.
    pub by_fours: bool,
}

impl Conv3d {
    /// K must be less: kernels divide it as f32.
    pub const MAX_K: usize = 1 << 20;

    /// The tile for `m` output voxels and `n` output channels; see [`Tile::choose`].
    pub fn tile(m: u32, n: u32, large_from: u64) -> Tile {
        Tile::choose_many(m, n, large_from)
    }
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Output voxels to compute.
    pub m: u32,
    /// Output channels to compute.
    pub n: u32,
    /// kt · kh · kw · C: the row stride of the weight `[O, kt, kh, kw, C]`.
    pub k: u32,
    /// First output voxel, counted over `[To, Ho, Wo]`; of residual and out alike.
    pub first_row: u32,
    /// Rows in the binding before the first of the weight.
    pub first_weight_row: u32,
    /// First output channel, of out, residual and bias alike.
    pub first_column: u32,
    /// All output channels.
    pub out_stride: u32,
    /// [`crate::flags`]: BIAS, RESIDUAL.
    pub flags: u32,
    /// Frames of the cache (0: none), frames of x, height, width.
    pub input: [u32; 4],
    /// Output height and width, and nothing.
    pub output: [u32; 4],
    /// kt, kh, kw, C.
    pub kernel: [u32; 4],
    /// In time, height and width, and nothing.
    pub stride: [u32; 4],
    /// Zeros in front, above and on the left, and nothing. Those below and on the right follow from `output`.
    pub padding: [u32; 4],
}

/// The cache and x are `[Tc, H, W, C]` and `[T, H, W, C]`; both are read by fours.
pub const BINDINGS: &[Binding] = &[
    PARAMS,
    WEIGHT,
    arena("x"),
    arena("cache"),
    arena("bias"),
    arena("residual"),
    arena("out"),
];

impl Kernel for Conv3d {
    type Params = Params;

    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for weight in WeightType::all() {
            for factors in Factors::ALL {
                for tile in Tile::MANY.into_iter().chain([Tile::Lanes]) {
                    if tile.in_registers() && factors != factors.in_registers() {
                        continue;
                    }
                    for by_fours in [false, true] {
                        all.push(Self {
                            weight,
                            factors,
                            tile,
                            by_fours,
                        });
                    }
                }
            }
        }
        all
    }

    fn shader(&self) -> Shader {
        let text = Text::new(include_str!("kernel.wgsl"))
            .weight_by_fours(self.weight, self.by_fours && self.tile == Tile::Lanes)
            .floats(self.factors, self.tile.held_weight(self.weight, self.factors))
            .tile(self.tile, self.factors, false)
            .constant("BY_FOURS", self.by_fours);
        Shader {
            name: format!(
                "conv3d.{}{}.{}{}",
                self.weight.name(),
                self.factors.suffix(),
                self.tile.name(),
                if self.by_fours { "" } else { ".singly" }
            ),
            needs: text.needs(),
            source: text.finish(),
            bindings: BINDINGS,
            workgroup_size: [self.tile.invocations(self.factors), 1, 1],
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        self.tile.workgroups(self.factors, params.m, params.n)
    }
}
