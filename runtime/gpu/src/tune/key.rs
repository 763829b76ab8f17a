//! What a choice is made for.

use std::fmt;

use kinora_shaders::attention::{self, Attention};
use kinora_shaders::conv3d::Conv3d;
use kinora_shaders::linear::{self, Arithmetic, Epilogue, Linear};
use kinora_shaders::{Activation, Factors, Kernel, Shader, WeightType};

/// An operation with its format, precision and tier: all of a kernel but the tile, and what happens to the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A linear layer.
    Linear(Arithmetic),
    /// A convolution.
    Conv3d {
        /// Format of the weight.
        weight: WeightType,
        /// How both factors are held.
        factors: Factors,
        /// Input channels are a multiple of four.
        by_fours: bool,
    },
    /// Attention in half precision without bias and mask.
    Attention {
        /// Elements of a head.
        head_dim: u32,
        /// How products hold factors on the device: attention does it like that where it uses matrices.
        factors: Factors,
    },
}

/// What is chosen for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tile {
    /// Of a linear layer or a convolution.
    Product(linear::Tile),
    /// Of attention.
    Attention(attention::Tile),
}

impl Tile {
    /// As tables and plans spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Product(tile) => tile.name(),
            Self::Attention(tile) => tile.name(),
        }
    }

    /// Whether it is of drivers on the processor, and there by rule alone: not every shape of a class, nor every tier, takes
    /// it.
    pub(crate) fn in_lanes(self) -> bool {
        matches!(
            self,
            Self::Product(linear::Tile::Lanes) | Self::Attention(attention::Tile::Lanes)
        )
    }
}

impl Operation {
    /// The tiles that it may have.
    pub fn tiles(self) -> Vec<Tile> {
        match self {
            Self::Linear(_) | Self::Conv3d { .. } => {
                let tiles = linear::Tile::MANY.into_iter().chain([linear::Tile::Lanes]);
                tiles.map(Tile::Product).collect()
            }
            Self::Attention { head_dim, factors } => {
                let matrices = attention::Tile::Matrices(factors);
                let tiles = attention::Tile::SCALAR.into_iter().chain([matrices]);
                let serving = tiles.filter(|tile| tile.serves(head_dim, factors.rounded()));
                serving.map(Tile::Attention).collect()
            }
        }
    }

    /// Whether it sums in the same order with every tile.
    pub(crate) fn is_exact(self) -> bool {
        !matches!(self, Self::Attention { .. })
    }

    /// Its kernel with a tile of [`Self::tiles`].
    pub(super) fn shader(self, tile: Tile) -> Shader {
        match (self, tile) {
            (Self::Linear(arithmetic), Tile::Product(tile)) => Linear {
                arithmetic,
                epilogue: Epilogue::Activation(Activation::None),
                tile,
            }
            .shader(),
            (
                Self::Conv3d {
                    weight,
                    factors,
                    by_fours,
                },
                Tile::Product(tile),
            ) => Conv3d {
                weight,
                factors,
                tile,
                by_fours,
            }
            .shader(),
            (Self::Attention { head_dim, factors }, Tile::Attention(tile)) => {
                let kernel = Attention::choose(head_dim, tile, factors.rounded());
                kernel.expect("a tile that serves the head").shader()
            }
            _ => unreachable!("{self:?} has no {tile:?}"),
        }
    }
}

/// An operation and a class of shapes.
///
/// Rows and columns decide how many tiles there are and how full those at the edges, up to where any device has more
/// tiles than it runs at once; K only how much the beginning and the end of a tile weigh. So rows and columns are
/// rounded up to powers of two, within bounds, and K is short or long. Queries, heads and keys of attention likewise,
/// keys up to where they are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Operation.
    pub operation: Operation,
    /// Class of rows (output voxels), of columns (output channels) and of K; of queries, heads (of all batches) and keys.
    pub class: [u32; 3],
}

/// The least class of rows and columns.
const LEAST: u32 = 16;

/// The greatest classes of rows and of columns: 2048 of the smallest tiles.
const MOST: [u32; 2] = [4096, 2048];

/// The greatest classes of queries, heads and keys.
const MOST_ATTENTION: [u32; 3] = [2048, 16, 2048];

/// The classes of K.
const SHORT: u32 = 256;
const LONG: u32 = 1024;

impl Key {
    /// The class of a product with an output of `m` x `n` and sums of `k`, or of attention with `m` queries, `n` heads
    /// and `k` keys.
    pub fn new(operation: Operation, [m, n, k]: [u32; 3]) -> Self {
        let up = |size: u32, most: u32| size.min(most).next_power_of_two();
        let class = match operation {
            Operation::Linear(_) | Operation::Conv3d { .. } => {
                let k = if k <= 2 * SHORT { SHORT } else { LONG };
                [up(m, MOST[0]).max(LEAST), up(n, MOST[1]).max(LEAST), k]
            }
            Operation::Attention { .. } => {
                let [queries, heads, keys] = MOST_ATTENTION;
                [up(m, queries).max(LEAST), up(n, heads), up(k, keys).max(LEAST)]
            }
        };
        Self { operation, class }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation {
            Operation::Linear(arithmetic) => write!(f, "linear.{}", arithmetic.name())?,
            Operation::Conv3d {
                weight,
                factors,
                by_fours,
            } => {
                let singly = if by_fours { "" } else { ".singly" };
                write!(f, "conv3d.{}{}{singly}", weight.name(), factors.suffix())?;
            }
            Operation::Attention { head_dim, factors } => write!(f, "attention.{head_dim}{}", factors.suffix())?,
        }
        let [m, n, k] = self.class;
        write!(f, " {m}x{n}x{k}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_fall_into_few_classes() {
        let linear = Operation::Linear(Arithmetic::Int8);
        let class = |shape| Key::new(linear, shape).class;
        assert_eq!(class([32_760, 13_824, 5120]), [4096, 2048, LONG]);
        assert_eq!(class([u32::MAX, 3, 432]), [4096, 16, SHORT]);
        assert_eq!(class([9, 65, 513]), [16, 128, LONG]);
        let conv3d = Operation::Conv3d {
            weight: WeightType::BF16,
            factors: Factors::F16,
            by_fours: false,
        };
        let attention = Operation::Attention {
            head_dim: 128,
            factors: Factors::Matrix16,
        };
        let names = [linear, conv3d, attention].map(|op| Key::new(op, [100, 24, 100_000]).to_string());
        assert_eq!(
            names,
            [
                "linear.bytes 128x32x1024",
                "conv3d.bf16.f16.singly 128x32x1024",
                "attention.128.matrix16 128x16x2048"
            ]
        );
    }
}
