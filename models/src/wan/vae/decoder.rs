//! Latents to frames.

use kinora_graph::{Activation, Builder, Graph, Result, Scope};
use kinora_quant::Weights;

use super::{
    Chunk,
    blocks::{Net, PLAIN},
};
use crate::wan::VaeConfig;

/// One latent frame to its frames.
///
/// Input: `latent` `[1, h, w, z_dim]`, denormalised. Output: `frames` `[T, H, W, 3]`, with T = 1 in the first chunk and
/// the temporal factor in all others. Black is -1, white 1; values beyond are left to the caller to cut off, since
/// tiles are blended before.
pub fn decoder_graph(config: &VaeConfig, weights: &dyn Weights, latent: [usize; 2], chunk: Chunk) -> Result<Graph> {
    let mut b = Builder::new(weights);
    let [h, w] = latent;
    let x = b.input("latent", &[1, h, w, config.z_dim]);
    let root = Scope::root();
    let x = b.linear(&root, "post_quant_conv", x, config.z_dim, PLAIN)?;

    let scope = root.enter("decoder");
    let mut net = Net { b: &mut b, chunk };
    let levels = config.dim_mult.len();
    let width = |level: usize| config.decoder_base() * config.dim_mult[level];
    let mut x = net.causal_conv(&scope, "conv_in", x, width(levels - 1), None)?;
    x = net.mid_block(&scope.enter("mid_block"), x)?;
    for block in 0..levels {
        let out = width(levels - 1 - block);
        let up = block + 1 < levels;
        let time = up && config.temperal_downsample[levels - 2 - block];
        let scope = scope.enter("up_blocks").enter(block);
        let before = x;
        for resnet in 0..=config.num_res_blocks {
            x = net.resnet(&scope.enter("resnets").enter(resnet), x, out)?;
        }
        if up && config.is_residual {
            x = net.upsample(&scope.enter("upsampler"), x, time, out)?;
            let shortcut = net.duplicate_up(before, out, if time { 2 } else { 1 }, 2)?;
            x = net.b.add(x, shortcut)?;
        } else if up {
            x = net.upsample(&scope.enter("upsamplers.0"), x, time, out / 2)?;
        }
    }
    x = net.norm(&scope, "norm_out", x, Activation::Silu)?;
    x = net.causal_conv(&scope, "conv_out", x, config.out_channels, None)?;

    // Pixel shuffle: channel (c, column offset, row offset), row offset fastest.
    let p = config.patch_size.unwrap_or(1);
    let &[t, h, w, channels] = b.shape(x) else {
        unreachable!("feature maps have four dimensions")
    };
    let c = channels / (p * p);
    let x = b.permute(x, &[t, h, w, c, p, p], &[0, 1, 5, 2, 4, 3], 0, &[t, h * p, w * p, c])?;
    b.output("frames", x);
    Ok(b.finish())
}
