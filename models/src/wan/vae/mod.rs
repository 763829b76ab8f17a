//! The causal autoencoders of Wan 2.1 and 2.2, as graphs over chunks of frames.
//!
//! The decoder takes one latent frame at a time, the encoder one frame and then groups of four. Each causal
//! convolution keeps its last two input frames as a state, so that chunks join without a seam and memory does
//! not grow with the clip. Feature maps are `[T, H, W, C]`. Where even one chunk is too large for a device, a latent
//! is cut into tiles ([`Tiling`]) that are decoded one after the other and blended on the host.

mod blocks;
mod decoder;
mod encoder;
mod mosaic;
mod resample;
mod tiling;

pub use decoder::decoder_graph;
pub use encoder::encoder_graph;
pub(crate) use mosaic::Mosaic;
pub use mosaic::tiled_host_bytes;
pub use tiling::{Tiling, tilings};

/// Where a chunk stands in its clip: causal layers treat the first ones differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Chunk {
    /// The first frame: no history, and no resampling in time.
    First,
    /// The second chunk: resampling in time begins, with a history of zeros (the first frame never enters it).
    Second,
    /// All later ones.
    Later,
}

impl Chunk {
    /// Kind of the chunk with this index.
    pub fn at(index: usize) -> Self {
        match index {
            0 => Self::First,
            1 => Self::Second,
            _ => Self::Later,
        }
    }
}
