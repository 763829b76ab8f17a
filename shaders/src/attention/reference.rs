//! The plain version.

use kinora_quant::round_f16;

use super::{Attention, BLOCK, Params};
use crate::flags;

/// The operands; those that the flags leave out may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands<'a> {
    /// `[B, Lq, heads · head_dim]`
    pub q: &'a [f32],
    /// `[B, Lk, heads · head_dim]`
    pub k: &'a [f32],
    /// `[B, Lk, heads · head_dim]`
    pub v: &'a [f32],
    /// `[Lq + Lk - 1, heads]`
    pub bias: &'a [f32],
    /// `[Lk]`
    pub mask: &'a [f32],
    /// `[⌈Lq / 64⌉, ⌈Lk / 64⌉]`, of each head or of all
    pub blocks: &'a [f32],
}

/// What the kernel does, in f64 and with the scores of a query all at once. Of int8 q and k it takes the numbers that
/// they stand for ([`crate::quantize_heads::dequantize`]).
pub fn reference(kernel: &Attention, p: &Params, o: Operands<'_>, out: &mut [f32]) {
    let operand = |v: f32| f64::from(if kernel.round_f16 { round_f16(v) } else { v });
    // Bytes times their scale are not rounded.
    let factor = |v: f32| if kernel.int8 { f64::from(v) } else { operand(v) };
    let (lq, lk) = (p.query_length as usize, p.key_length as usize);
    let (heads, dim) = (p.heads as usize, p.head_dim as usize);
    let width = heads * dim;
    let block = |head: usize, i: usize, j: usize| {
        let row = p.first_block as usize + (i - p.first_query as usize) / BLOCK as usize;
        head * p.head_blocks as usize + row * lk.div_ceil(BLOCK as usize) + j / BLOCK as usize
    };
    for batch in 0..p.batch as usize {
        for head in 0..heads {
            for i in p.first_query as usize..(p.first_query + p.queries) as usize {
                let q = (batch * lq + i) * width + head * dim;
                let key = |j: usize| (batch * lk + j) * width + head * dim;
                let scores: Vec<f64> = (0..lk)
                    .map(|j| {
                        if p.flags & flags::BLOCKS != 0 && o.blocks[block(head, i, j)] == 0.0 {
                            return f64::NEG_INFINITY;
                        }
                        let dot: f64 = (0..dim).map(|d| factor(o.q[q + d]) * factor(o.k[key(j) + d])).sum();
                        let mut score = dot * f64::from(p.scale);
                        if p.flags & flags::BIAS != 0 {
                            score += f64::from(o.bias[(j + lq - 1 - i) * heads + head]);
                        }
                        if p.flags & flags::MASK != 0 {
                            score += f64::from(o.mask[j]);
                        }
                        score
                    })
                    .collect();
                let highest = scores.iter().copied().fold(f64::MIN, f64::max);
                let parts: Vec<_> = scores.iter().map(|s| (s - highest).exp()).collect();
                let sum: f64 = parts.iter().sum();
                for d in 0..dim {
                    let value: f64 = parts
                        .iter()
                        .enumerate()
                        .map(|(j, part)| part * operand(o.v[key(j) + d]))
                        .sum();
                    out[q + d] = if sum > 0.0 { (value / sum) as f32 } else { 0.0 };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Operands, reference};
    use crate::attention::{Attention, HeadDim, Params, Tile};
    use crate::flags;

    const KERNEL: Attention = Attention {
        head_dim: HeadDim::D64,
        tile: Tile::Side4,
        by_four: false,
        round_f16: false,
        int8: false,
    };

    #[test]
    fn equal_scores_give_the_mean_and_the_mask_takes_away() {
        let p = Params {
            queries: 1,
            query_length: 1,
            key_length: 3,
            heads: 1,
            head_dim: 2,
            batch: 1,
            scale: 1.0,
            ..Params::default()
        };
        let o = Operands {
            q: &[0.0, 0.0],
            k: &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            v: &[1.0, 0.0, 2.0, 0.0, 6.0, 3.0],
            mask: &[0.0, 0.0, f32::MIN],
            ..Operands::default()
        };
        let mut out = [0.0; 2];
        reference(&KERNEL, &p, o, &mut out);
        assert_eq!(out, [3.0, 1.0]);
        reference(
            &KERNEL,
            &Params {
                flags: flags::MASK,
                ..p
            },
            o,
            &mut out,
        );
        assert_eq!(out, [1.5, 0.0]);
    }

    #[test]
    fn blocks_of_zero_are_not_seen() {
        let p = Params {
            queries: 65,
            query_length: 65,
            key_length: 65,
            heads: 2,
            head_dim: 1,
            batch: 1,
            flags: flags::BLOCKS,
            head_blocks: 4,
            ..Params::default()
        };
        // Of the first head, all see the last key alone; of the second, the last query sees nothing.
        let mut v = [1.0; 130];
        v[128] = 5.0;
        let o = Operands {
            q: &[0.0; 130],
            k: &[0.0; 130],
            v: &v,
            blocks: &[0.0, 1.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0],
            ..Operands::default()
        };
        let mut out = [9.0; 130];
        reference(&KERNEL, &p, o, &mut out);
        assert_eq!(
            (out[0], out[128], out[1], out[127], out[129]),
            (5.0, 5.0, 1.0, 1.0, 0.0)
        );
    }

    #[test]
    fn the_bias_is_by_distance() {
        // Two queries, two keys: entries for j - i = -1, 0, 1.
        let p = Params {
            queries: 2,
            query_length: 2,
            key_length: 2,
            heads: 1,
            head_dim: 1,
            batch: 1,
            flags: flags::BIAS,
            ..Params::default()
        };
        let third = 3f32.ln();
        let o = Operands {
            q: &[0.0; 2],
            k: &[0.0; 2],
            v: &[0.0, 4.0],
            bias: &[0.0, 0.0, third],
            ..Operands::default()
        };
        let mut out = [0.0; 2];
        reference(&KERNEL, &p, o, &mut out);
        assert!((out[0] - 3.0).abs() < 1e-6 && (out[1] - 2.0).abs() < 1e-6, "{out:?}");
    }
}
