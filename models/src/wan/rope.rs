//! Tables built on the host in f64: rotary positions and timestep sinusoids.

use crate::wan::TransformerConfig;

/// Base of the rotary frequencies.
const THETA: f64 = 10_000.0;

/// cos and sin, each `[L, head_dim / 2]`, for a latent `[frames, height, width]`; tokens in row-major order.
///
/// A head's pairs are split into time, height and width axes (44, 42, 42 for heads of 128); pair `j` of an
/// axis of width `D` turns by `position · θ^(-2j/D)`.
pub fn rope_tables(config: &TransformerConfig, latent: [usize; 3]) -> (Vec<f32>, Vec<f32>) {
    let space = 2 * (config.attention_head_dim / 6);
    let widths = [config.attention_head_dim - 2 * space, space, space];
    let grid: [usize; 3] = std::array::from_fn(|axis| latent[axis] / config.patch_size[axis]);
    let angles: [Vec<Vec<f64>>; 3] = std::array::from_fn(|axis| {
        (0..grid[axis])
            .map(|position| {
                let width = widths[axis];
                (0..width / 2)
                    .map(|j| position as f64 * THETA.powf(-((2 * j) as f64) / width as f64))
                    .collect()
            })
            .collect()
    });
    let mut cos = Vec::with_capacity(config.tokens(latent) * config.attention_head_dim / 2);
    let mut sin = Vec::with_capacity(cos.capacity());
    for t in 0..grid[0] {
        for h in 0..grid[1] {
            for w in 0..grid[2] {
                for angle in angles[0][t].iter().chain(&angles[1][h]).chain(&angles[2][w]) {
                    cos.push(angle.cos() as f32);
                    sin.push(angle.sin() as f32);
                }
            }
        }
    }
    (cos, sin)
}

/// Sinusoidal embedding of timesteps, `[n, freq_dim]`, cosines first (DDPM's, computed in f64 as the official code does).
pub fn timestep_embedding(timesteps: &[f32], freq_dim: usize) -> Vec<f32> {
    let half = freq_dim / 2;
    let mut out = Vec::with_capacity(timesteps.len() * freq_dim);
    for &t in timesteps {
        let angle = |j: usize| f64::from(t) * THETA.powf(-(j as f64) / half as f64);
        out.extend((0..half).map(|j| angle(j).cos() as f32));
        out.extend((0..half).map(|j| angle(j).sin() as f32));
    }
    out
}
