//! Cutting a latent into overlapping tiles, as diffusers' `AutoencoderKLWan.tiled_decode` does.

use std::ops::Range;

use crate::wan::VaeConfig;

/// Tiles of a latent that is too large to be decoded whole.
///
/// A tile sees nothing beyond its edge, neither in its convolutions nor in the attention of the middle block.
/// Therefore tiles overlap and are blended, and the result differs from that of decoding the whole picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tiling {
    tile: [usize; 2],
    stride: [usize; 2],
}

impl Tiling {
    /// Tiles of height and width `tile`, one every `stride`, both in latent rows and columns.
    ///
    /// # Errors
    /// In words, where the tiles would leave gaps or never end.
    pub fn new(tile: [usize; 2], stride: [usize; 2]) -> Result<Self, String> {
        if stride.contains(&0) || stride[0] > tile[0] || stride[1] > tile[1] {
            return Err(format!(
                "tiles of {tile:?} every {stride:?} latents: the stride must be 1 at least and the tile's size at most"
            ));
        }
        Ok(Self { tile, stride })
    }

    /// Square tiles of about `pixels` a side, a quarter of which they share with the next.
    fn square(config: &VaeConfig, pixels: usize) -> Self {
        let tile = (pixels / config.spatial_factor()).max(1);
        let stride = (tile * 3 / 4).max(1);
        Self {
            tile: [tile; 2],
            stride: [stride; 2],
        }
    }

    /// diffusers' default: tiles of 256 pixels, one every 192.
    pub fn diffusers(config: &VaeConfig) -> Self {
        Self::square(config, SIDES[0])
    }

    /// Height and width of a tile, in latents.
    pub fn tile(&self) -> [usize; 2] {
        self.tile
    }

    /// Height and width of the largest tile of a latent `[h, w]`: what a device must have room for.
    pub fn largest(&self, latent: [usize; 2]) -> [usize; 2] {
        [self.tile[0].min(latent[0]), self.tile[1].min(latent[1])]
    }

    /// Rows and columns of the tiles of a latent `[h, w]`. Where one tile holds all, there is no other; else tiles
    /// begin at every stride and end with the latent.
    pub fn spans(&self, latent: [usize; 2]) -> [Vec<Range<usize>>; 2] {
        let whole = self.largest(latent) == latent;
        [0, 1].map(|axis| {
            let (size, tile) = (latent[axis], self.tile[axis]);
            let step = if whole { size.max(1) } else { self.stride[axis] };
            let starts = (0..size).step_by(step);
            starts.map(|start| start..start + tile.min(size - start)).collect()
        })
    }
}

/// Sides of the tiles that are proposed, in pixels. Below the last one a tile is mostly edge.
const SIDES: [usize; 4] = [256, 192, 128, 64];

/// Ways to decode a latent `[h, w]`, each with less memory than the one before: whole (`None`), in diffusers' tiles, in
/// smaller ones. The first that fits is the best: smaller tiles see less of the picture.
pub fn tilings(config: &VaeConfig, latent: [usize; 2]) -> Vec<Option<Tiling>> {
    let mut all = vec![None];
    for tiling in SIDES.map(|side| Tiling::square(config, side)) {
        let smaller = tiling.largest(latent) != latent;
        if smaller && all.last() != Some(&Some(tiling)) {
            all.push(Some(tiling));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_diffusers_and_proposals_shrink() {
        let (wan21, wan22) = (VaeConfig::wan21(), VaeConfig::wan22());
        assert_eq!(Tiling::diffusers(&wan21), Tiling::new([32; 2], [24; 2]).unwrap());
        assert_eq!(Tiling::diffusers(&wan22), Tiling::new([16; 2], [12; 2]).unwrap());

        let sides = |config, latent| -> Vec<usize> {
            let tilings = tilings(config, latent);
            assert_eq!(tilings[0], None);
            tilings.iter().flatten().map(|t| t.tile[0]).collect()
        };
        assert_eq!(sides(&wan21, [90, 160]), [32, 24, 16, 8]);
        assert_eq!(sides(&wan22, [45, 80]), [16, 12, 8, 4]);
        // What holds the whole picture saves nothing.
        assert_eq!(sides(&wan21, [16, 30]), [24, 16, 8]);
        assert_eq!(sides(&wan22, [2, 4]), [0; 0]);
    }

    #[test]
    fn spans_end_with_the_latent() {
        let tiling = Tiling::new([3, 2], [2, 1]).unwrap();
        assert_eq!(tiling.spans([4, 3]), [vec![0..3, 2..4], vec![0..2, 1..3, 2..3]]);
        assert_eq!(tiling.spans([3, 2]), [vec![0..3], vec![0..2]]);
        // diffusers cuts the short axis at its strides as well, once the other is too long.
        assert_eq!(tiling.spans([3, 3]), [vec![0..3, 2..3], vec![0..2, 1..3, 2..3]]);
    }

    #[test]
    fn gaps_and_endless_tiles_are_refused() {
        for (tile, stride) in [([4, 4], [0, 4]), ([4, 4], [4, 5]), ([0, 0], [0, 0])] {
            assert!(Tiling::new(tile, stride).unwrap_err().contains("stride"));
        }
    }
}
