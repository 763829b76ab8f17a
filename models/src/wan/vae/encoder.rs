//! Frames to latents.

use kinora_graph::{Activation, Builder, Graph, Result, Scope};
use kinora_quant::Weights;

use super::{
    Chunk,
    blocks::{Net, PLAIN},
};
use crate::wan::VaeConfig;

/// A chunk of frames to one latent frame.
///
/// Input: `frames` `[T, H, W, 3]` in -1 to 1, with T = 1 in the first chunk and the temporal factor in all
/// others. Output: `latent` `[1, h, w, z_dim]`, the mean of the posterior, not normalised.
pub fn encoder_graph(config: &VaeConfig, weights: &dyn Weights, frame: [usize; 2], chunk: Chunk) -> Result<Graph> {
    let mut b = Builder::new(weights);
    let [h, w] = frame;
    let t = if chunk == Chunk::First {
        1
    } else {
        config.temporal_factor()
    };
    let p = config.patch_size.unwrap_or(1);
    let channels = config.in_channels / (p * p);
    let x = b.input("frames", &[t, h, w, channels]);
    // Pixel unshuffle: channel (c, column offset, row offset), row offset fastest.
    let view = [t, h / p, p, w / p, p, channels];
    let mut x = b.permute(x, &view, &[0, 1, 3, 5, 4, 2], 0, &[t, h / p, w / p, config.in_channels])?;

    let root = Scope::root();
    let scope = root.enter("encoder");
    let mut net = Net { b: &mut b, chunk };
    let levels = config.dim_mult.len();
    x = net.causal_conv(&scope, "conv_in", x, config.base_dim, None)?;
    // Wan 2.1 numbers all layers in one list, Wan 2.2 groups them by level.
    let mut layer = 0;
    for level in 0..levels {
        let out = config.base_dim * config.dim_mult[level];
        let down = level + 1 < levels;
        let time = down && config.temperal_downsample[level];
        let before = x;
        for resnet in 0..config.num_res_blocks {
            let scope = if config.is_residual {
                scope.enter("down_blocks").enter(level).enter("resnets").enter(resnet)
            } else {
                scope.enter("down_blocks").enter(layer)
            };
            x = net.resnet(&scope, x, out)?;
            layer += 1;
        }
        if down {
            let scope = if config.is_residual {
                scope.enter("down_blocks").enter(level).enter("downsampler")
            } else {
                scope.enter("down_blocks").enter(layer)
            };
            x = net.downsample(&scope, x, time)?;
            layer += 1;
        }
        if config.is_residual {
            let shortcut = net.average_down(before, out, if time { 2 } else { 1 }, if down { 2 } else { 1 })?;
            x = net.b.add(x, shortcut)?;
        }
    }
    x = net.mid_block(&scope.enter("mid_block"), x)?;
    x = net.norm(&scope, "norm_out", x, Activation::Silu)?;
    x = net.causal_conv(&scope, "conv_out", x, 2 * config.z_dim, None)?;
    // Only the mean of the posterior is used: its rows come first.
    let x = b.linear_rows(&root, "quant_conv", x, 2 * config.z_dim, 0..config.z_dim, PLAIN)?;
    b.output("latent", x);
    Ok(b.finish())
}
