//! What a choice is made for.

use std::fmt;

use kinora_shaders::conv3d::Conv3d;
use kinora_shaders::linear::{Arithmetic, Epilogue, Linear, Tile};
use kinora_shaders::{Activation, Factors, Kernel, Shader, WeightType};

/// An operation with its format, precision and tier: all of a kernel but the tile, and what happens to the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Product {
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
}

impl Product {
    /// Its grid with a tile, for an output of `m` x `n`.
    pub(super) fn workgroups(self, tile: Tile, [m, n]: [u32; 2]) -> [u32; 3] {
        let factors = match self {
            Self::Linear(arithmetic) => arithmetic.factors(),
            Self::Conv3d { factors, .. } => factors,
        };
        tile.workgroups(factors, m, n)
    }

    /// Its kernel with a tile that has rows and columns.
    pub(super) fn shader(self, tile: Tile) -> Shader {
        match self {
            Self::Linear(arithmetic) => Linear {
                arithmetic,
                epilogue: Epilogue::Activation(Activation::None),
                tile,
            }
            .shader(),
            Self::Conv3d {
                weight,
                factors,
                by_fours,
            } => Conv3d {
                weight,
                factors,
                tile,
                by_fours,
            }
            .shader(),
        }
    }
}

/// An operation and a class of shapes.
///
/// Rows and columns decide how many tiles there are and how full those at the edges, up to where any device has more
/// tiles than it runs at once; K only how much the beginning and the end of a tile weigh. So rows and columns are
/// rounded up to powers of two, within bounds, and K is short or long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Operation.
    pub product: Product,
    /// Class of rows (output voxels), of columns (output channels) and of K.
    pub class: [u32; 3],
}

/// The least class of rows and columns.
const LEAST: u32 = 16;

/// The greatest classes of rows and of columns: 2048 of the smallest tiles.
const MOST: [u32; 2] = [4096, 2048];

/// The classes of K.
const SHORT: u32 = 256;
const LONG: u32 = 1024;

impl Key {
    /// The class of an output of `m` x `n`, sums of `k`.
    pub fn new(product: Product, [m, n, k]: [u32; 3]) -> Self {
        let up = |size: u32, most: u32| size.min(most).next_power_of_two().max(LEAST);
        let k = if k <= 2 * SHORT { SHORT } else { LONG };
        Self {
            product,
            class: [up(m, MOST[0]), up(n, MOST[1]), k],
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.product {
            Product::Linear(arithmetic) => write!(f, "linear.{}", arithmetic.name())?,
            Product::Conv3d {
                weight,
                factors,
                by_fours,
            } => {
                let singly = if by_fours { "" } else { ".singly" };
                write!(f, "conv3d.{}{}{singly}", weight.name(), factors.suffix())?;
            }
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
        let product = Product::Linear(Arithmetic::Int8);
        let class = |shape| Key::new(product, shape).class;
        assert_eq!(class([32_760, 13_824, 5120]), [4096, 2048, LONG]);
        assert_eq!(class([u32::MAX, 3, 432]), [4096, 16, SHORT]);
        assert_eq!(class([9, 65, 513]), [16, 128, LONG]);
        let conv3d = Product::Conv3d {
            weight: WeightType::BF16,
            factors: Factors::F16,
            by_fours: false,
        };
        let names = [product, conv3d].map(|product| Key::new(product, [100, 100, 100]).to_string());
        assert_eq!(
            names,
            ["linear.bytes 128x128x256", "conv3d.bf16.f16.singly 128x128x256"]
        );
    }
}
