//! Shapes of a Wan transformer and of its autoencoder, from a diffusers `config.json` or from the tensors.

use kinora_quant::Weights;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Shape of a `WanTransformer3DModel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransformerConfig {
    /// Latent frames, rows and columns of one token.
    #[serde(default = "default_patch")]
    pub patch_size: [usize; 3],
    /// Number of attention heads.
    pub num_attention_heads: usize,
    /// Width of a head.
    pub attention_head_dim: usize,
    /// Latent channels in (conditioning channels included).
    pub in_channels: usize,
    /// Latent channels out.
    pub out_channels: usize,
    /// Width of the text encoder's rows.
    pub text_dim: usize,
    /// Width of the sinusoidal timestep embedding.
    pub freq_dim: usize,
    /// Hidden width of the feed-forward layers.
    pub ffn_dim: usize,
    /// Number of blocks.
    pub num_layers: usize,
    /// Whether the norm before cross-attention exists.
    #[serde(default = "yes")]
    pub cross_attn_norm: bool,
    /// Epsilon of all norms.
    #[serde(default = "default_eps")]
    pub eps: f32,
    /// Width of CLIP image tokens (Wan 2.1 image-to-video).
    #[serde(default)]
    pub image_dim: Option<usize>,
    /// Positions of the learned embedding of first and last image (Wan 2.1 FLF2V).
    #[serde(default)]
    pub pos_embed_seq_len: Option<usize>,
}

fn default_patch() -> [usize; 3] {
    [1, 2, 2]
}

fn yes() -> bool {
    true
}

fn default_eps() -> f32 {
    1e-6
}

impl TransformerConfig {
    /// Width of the residual stream.
    pub fn dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Tokens of a latent `[frames, height, width]`.
    pub fn tokens(&self, [f, h, w]: [usize; 3]) -> usize {
        let [pt, ph, pw] = self.patch_size;
        (f / pt) * (h / ph) * (w / pw)
    }

    /// Reads the shape off the tensors of a checkpoint in canonical names. All official models have heads of 128.
    pub fn detect(weights: &dyn Weights) -> Result<Self> {
        let shape = |name: &str| {
            let info = weights.info(name).ok_or_else(|| weights.missing(name))?;
            Ok::<_, Error>(info.shape)
        };
        let at = |name: &str, axis: usize| {
            shape(name)?.get(axis).copied().ok_or_else(|| Error::Config {
                origin: weights.origin(),
                why: format!("tensor `{name}` has too few dimensions for a Wan transformer"),
            })
        };
        let patch = "patch_embedding.weight";
        let dim = at(patch, 0)?;
        let patch_size = [at(patch, 2)?, at(patch, 3)?, at(patch, 4)?];
        let layers = weights
            .names()
            .iter()
            .filter_map(|n| n.strip_prefix("blocks.")?.split('.').next()?.parse::<usize>().ok())
            .max()
            .map_or(0, |last| last + 1);
        let head_dim = 128;
        if dim % head_dim != 0 || layers == 0 {
            return Err(Error::Config {
                origin: weights.origin(),
                why: format!(
                    "{layers} blocks of width {dim}: the head width cannot be told from the tensors; use a folder with a config.json"
                ),
            });
        }
        let image = "condition_embedder.image_embedder.norm1.weight";
        let position = "condition_embedder.image_embedder.pos_embed";
        Ok(Self {
            patch_size,
            num_attention_heads: dim / head_dim,
            attention_head_dim: head_dim,
            in_channels: at(patch, 1)?,
            out_channels: at("proj_out.weight", 0)? / patch_size.iter().product::<usize>(),
            text_dim: at("condition_embedder.text_embedder.linear_1.weight", 1)?,
            freq_dim: at("condition_embedder.time_embedder.linear_1.weight", 1)?,
            ffn_dim: at("blocks.0.ffn.net.0.proj.weight", 0)?,
            num_layers: layers,
            cross_attn_norm: weights.info("blocks.0.norm2.weight").is_some(),
            eps: 1e-6,
            image_dim: weights.info(image).map(|i| i.elements()),
            pos_embed_seq_len: weights.info(position).map(|i| i.shape[i.shape.len().saturating_sub(2)]),
        })
    }
}

/// Shape of an `AutoencoderKLWan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VaeConfig {
    /// Width of the encoder's first level.
    pub base_dim: usize,
    /// Width of the decoder's last level, where it differs.
    #[serde(default)]
    pub decoder_base_dim: Option<usize>,
    /// Latent channels.
    pub z_dim: usize,
    /// Width of each level in units of the base.
    pub dim_mult: Vec<usize>,
    /// Residual blocks per level (one more in the decoder).
    pub num_res_blocks: usize,
    /// Levels of the encoder that halve time.
    pub temperal_downsample: Vec<bool>,
    /// Mean of each latent channel.
    pub latents_mean: Vec<f32>,
    /// Standard deviation of each latent channel.
    pub latents_std: Vec<f32>,
    /// Wan 2.2: shortcuts around each level's resampling.
    #[serde(default)]
    pub is_residual: bool,
    /// Channels into the encoder (12 for pixels shuffled 2 x 2).
    #[serde(default = "rgb")]
    pub in_channels: usize,
    /// Channels out of the decoder.
    #[serde(default = "rgb")]
    pub out_channels: usize,
    /// Side of the pixel shuffle around the autoencoder.
    #[serde(default)]
    pub patch_size: Option<usize>,
}

fn rgb() -> usize {
    3
}

impl VaeConfig {
    /// Pixels per latent, in each direction.
    pub fn spatial_factor(&self) -> usize {
        (1 << (self.dim_mult.len() - 1)) * self.patch_size.unwrap_or(1)
    }

    /// Values of a decoded pixel.
    pub fn pixel_channels(&self) -> usize {
        let patch = self.patch_size.unwrap_or(1);
        self.out_channels / (patch * patch)
    }

    /// Frames per latent frame (the first stands alone).
    pub fn temporal_factor(&self) -> usize {
        1 << self.temperal_downsample.iter().filter(|t| **t).count()
    }

    /// Width of the decoder's last level.
    pub fn decoder_base(&self) -> usize {
        self.decoder_base_dim.unwrap_or(self.base_dim)
    }

    /// Latent frames of a clip of `frames` frames; frames beyond a multiple of the factor are dropped.
    pub fn latent_frames(&self, frames: usize) -> usize {
        (frames.max(1) - 1) / self.temporal_factor() + 1
    }

    /// Frames of a latent of `latent_frames` frames.
    pub fn frames(&self, latent_frames: usize) -> usize {
        1 + latent_frames.saturating_sub(1) * self.temporal_factor()
    }

    /// The autoencoder of Wan 2.1 and of the A14B models.
    pub fn wan21() -> Self {
        Self {
            base_dim: 96,
            decoder_base_dim: None,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            temperal_downsample: vec![false, true, true],
            latents_mean: WAN21_MEAN.to_vec(),
            latents_std: WAN21_STD.to_vec(),
            is_residual: false,
            in_channels: 3,
            out_channels: 3,
            patch_size: None,
        }
    }

    /// The autoencoder of Wan 2.2 TI2V-5B.
    pub fn wan22() -> Self {
        Self {
            base_dim: 160,
            decoder_base_dim: Some(256),
            z_dim: 48,
            latents_mean: WAN22_MEAN.to_vec(),
            latents_std: WAN22_STD.to_vec(),
            is_residual: true,
            in_channels: 12,
            out_channels: 12,
            patch_size: Some(2),
            ..Self::wan21()
        }
    }

    /// Which of the two official autoencoders the tensors (canonical names) are.
    pub fn detect(weights: &dyn Weights) -> Result<Self> {
        let name = "decoder.conv_in.weight";
        let info = weights.info(name).ok_or_else(|| weights.missing(name))?;
        match info.shape.get(1) {
            Some(16) => Ok(Self::wan21()),
            Some(48) => Ok(Self::wan22()),
            _ => Err(Error::Config {
                origin: weights.origin(),
                why: format!(
                    "an autoencoder whose `{name}` has shape {:?} is neither Wan 2.1's (16 latent channels) nor Wan 2.2's (48); use a folder with a config.json",
                    info.shape
                ),
            }),
        }
    }
}

/// Per-channel statistics of the official latents (Wan-Video/Wan2.2, `wan/modules/vae2_1.py`).
const WAN21_MEAN: [f32; 16] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632, -0.1922,
    -0.9497, 0.2503, -0.2921,
];
const WAN21_STD: [f32; 16] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253,
    2.8251, 1.9160,
];

/// Per-channel statistics of the official latents (Wan-Video/Wan2.2, `wan/modules/vae2_2.py`).
const WAN22_MEAN: [f32; 48] = [
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891, 0.1570,
    -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502, -0.2055, -0.0322,
    0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520,
    0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
];
const WAN22_STD: [f32; 48] = [
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165,
    0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917,
    0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600,
    0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
];
