//! The shapes that models really have. Other families add their lines to the tables.

use kinora_models::wan::Variant;

/// A model at the size of one of its usual clips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    pub(super) variant: Variant,
    /// Width, height and frames of the clip.
    pub(super) clip: &'static str,
    /// Frames, height and width of the latent.
    pub(super) latent: [usize; 3],
    /// Width of the residual stream; heads are 128 wide.
    pub(super) dim: usize,
    /// Hidden width of the feed-forward layers.
    pub(super) ffn: usize,
    /// Whether it is the model's only size, or the one at which everything is measured; at others only what grows
    /// otherwise than the number of tokens.
    pub(super) main: bool,
}

/// Rows of text in cross-attention.
pub(super) const TEXT_ROWS: usize = 512;

/// Width of a head.
pub(super) const HEAD: usize = 128;

/// Transformers.
pub(super) const SIZES: [Size; 4] = [
    Size {
        variant: Variant::Wan22Ti2v5b,
        clip: "1280x704x121",
        latent: [31, 44, 80],
        dim: 3072,
        ffn: 14336,
        main: true,
    },
    Size {
        variant: Variant::Wan22T2vA14b,
        clip: "832x480x81",
        latent: [21, 60, 104],
        dim: 5120,
        ffn: 13824,
        main: true,
    },
    Size {
        variant: Variant::Wan22T2vA14b,
        clip: "1280x720x81",
        latent: [21, 90, 160],
        dim: 5120,
        ffn: 13824,
        main: false,
    },
    Size {
        variant: Variant::Wan21T2v1_3b,
        clip: "832x480x81",
        latent: [21, 60, 104],
        dim: 1536,
        ffn: 8960,
        main: true,
    },
];

impl Size {
    /// Tokens: patches of 1 x 2 x 2.
    pub(super) fn tokens(&self) -> usize {
        self.latent[0] * (self.latent[1] / 2) * (self.latent[2] / 2)
    }

    pub(super) fn heads(&self) -> usize {
        self.dim / HEAD
    }
}

/// A level of an autoencoder's decoder: 3 x 3 x 3 convolutions of as many channels in as out, in a later chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    pub(super) variant: Variant,
    pub(super) vae: &'static str,
    pub(super) channels: usize,
    /// Frames, height and width.
    pub(super) size: [usize; 3],
}

/// Autoencoders, at 1280x720 and 1280x704.
pub(super) const LEVELS: [Level; 6] = {
    use Variant::{Wan22T2vA14b, Wan22Ti2v5b};
    [
        level(Wan22T2vA14b, "wan2.1-vae", 96, [4, 720, 1280]),
        level(Wan22T2vA14b, "wan2.1-vae", 192, [4, 360, 640]),
        level(Wan22T2vA14b, "wan2.1-vae", 384, [2, 180, 320]),
        level(Wan22Ti2v5b, "wan2.2-vae", 256, [4, 352, 640]),
        level(Wan22Ti2v5b, "wan2.2-vae", 512, [4, 176, 320]),
        level(Wan22Ti2v5b, "wan2.2-vae", 1024, [2, 88, 160]),
    ]
};

const fn level(variant: Variant, vae: &'static str, channels: usize, size: [usize; 3]) -> Level {
    Level {
        variant,
        vae,
        channels,
        size,
    }
}

/// Products and attention of no model, by which programs are compared.
pub(super) struct Square {
    /// Rows and columns of the weights; queries and keys of attention.
    pub(super) side: usize,
    /// Rows that the weights are multiplied with, besides as many as they have: others take other kernels.
    pub(super) rows: [usize; 5],
    pub(super) heads: usize,
    /// Widths of a head: that of text encoders, and that of transformers.
    pub(super) widths: [usize; 2],
}

pub(super) const SQUARE: Square = Square {
    side: 4096,
    rows: [1, 4, 64, 128, 512],
    heads: 16,
    widths: [64, HEAD],
};

/// What `--quick` makes of sizes, so that a software driver has done in minutes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reduction(pub(super) bool);

impl Reduction {
    /// Channels of layers: a quarter, in whole blocks of every format.
    pub(super) fn width(self, width: usize) -> usize {
        self.choose(width, (width / 4).next_multiple_of(256))
    }

    /// Side of weights that belong to no model.
    pub(super) fn side(self, side: usize) -> usize {
        self.choose(side, 1024)
    }

    /// Rows of products and norms.
    pub(super) fn rows(self, rows: usize) -> usize {
        self.choose(rows, 64)
    }

    /// Tokens of attention.
    pub(super) fn tokens(self, tokens: usize) -> usize {
        self.choose(tokens, 512)
    }

    /// Heads of attention.
    pub(super) fn heads(self, heads: usize) -> usize {
        self.choose(heads, 2)
    }

    /// Channels of convolutions.
    pub(super) fn channels(self, channels: usize) -> usize {
        self.choose(channels, channels / 4)
    }

    /// Frames, height and width of convolutions.
    pub(super) fn picture(self, [t, h, w]: [usize; 3]) -> [usize; 3] {
        match self.0 {
            false => [t, h, w],
            true => [t.min(2), h.min(24), w.min(40)],
        }
    }

    fn choose(self, whole: usize, reduced: usize) -> usize {
        if self.0 { whole.min(reduced) } else { whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_the_official_clips() {
        assert_eq!(SIZES.map(|s| s.tokens()), [27_280, 32_760, 75_600, 32_760]);
        assert_eq!(SIZES.map(|s| s.heads()), [24, 40, 40, 12]);
        assert!(SIZES.iter().all(|s| s.dim == s.variant.width()));
    }
}
