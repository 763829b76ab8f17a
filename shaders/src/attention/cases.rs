//! Shapes to test and to measure.

use super::{Attention, BLOCK, Operands, Params, Tile, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::{Factors, flags};

/// A case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: Attention,
    /// Batches, queries, keys, heads, elements of a head.
    pub shape: [u32; 5],
    /// [`flags`]; the mask hides about half of the keys, and blocks about half of the scores: the same of all heads where
    /// `sliced`, and all of the first queries.
    pub flags: u32,
    /// Only some queries are computed.
    pub sliced: bool,
    /// Size of q and k: large ones make the softmax sharp.
    pub size: f32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |tile, round_f16, shape: [u32; 5], flags, sliced, size| {
        let Some(kernel) = Attention::choose(shape[4], tile, round_f16) else {
            return;
        };
        // Lanes take no bias.
        let flags = if tile == Tile::Lanes {
            flags & !flags::BIAS
        } else {
            flags
        };
        cases.push(Case {
            kernel,
            shape,
            flags,
            sliced,
            size,
        });
    };
    for tile in Tile::SCALAR {
        let mut case = |round_f16, shape, flags, sliced, size| add(tile, round_f16, shape, flags, sliced, size);
        for round_f16 in [false, true] {
            case(round_f16, [1, 150, 45, 2, 48], 0, true, 1.0);
            case(round_f16, [2, 33, 67, 3, 128], flags::BIAS | flags::MASK, false, 2.0);
            case(round_f16, [1, 5, 40, 1, 192], flags::MASK, false, 1.0);
            case(round_f16, [1, 7, 70, 2, 33], flags::BIAS, true, 1.0);
        }
        for round_f16 in [false, true] {
            case(round_f16, [2, 150, 205, 3, 64], flags::BLOCKS, false, 1.0);
            case(round_f16, [1, 70, 330, 2, 128], flags::BLOCKS, true, 2.0);
        }
        case(false, [1, 130, 129, 2, 32], flags::BLOCKS | flags::MASK, false, 1.0);
        case(
            false,
            [1, 65, 70, 3, 175],
            flags::BLOCKS | flags::BIAS | flags::MASK,
            true,
            1.0,
        );
        case(false, [1, 1, 1, 1, 2], 0, false, 1.0);
        case(false, [3, 40, 1, 2, 5], flags::BIAS, true, 1.0);
        case(false, [1, 63, 64, 4, 32], flags::BIAS, false, 20.0);
        case(false, [2, 9, 129, 1, 64], flags::MASK, false, 30.0);
        case(false, [1, 66, 65, 2, 256], 0, true, 1.0);
        case(false, [1, 6, 77, 2, 130], flags::BIAS | flags::MASK, true, 5.0);
        case(false, [1, 5, 70, 2, 90], 0, false, 1.0);
        case(true, [1, 40, 37, 3, 32], flags::BIAS | flags::MASK, true, 1.0);
        case(false, [1, 256, 256, 4, 64], 0, false, 1.0);
        case(false, [1, 256, 256, 2, 128], 0, false, 1.0);
    }
    for factors in Factors::SQUARES {
        let mut case = |shape, flags, sliced, size| add(Tile::Matrices(factors), true, shape, flags, sliced, size);
        case([1, 150, 45, 2, 48], 0, true, 1.0);
        case([2, 33, 67, 3, 128], flags::BIAS | flags::MASK, false, 2.0);
        case([1, 5, 40, 1, 92], flags::MASK, false, 1.0);
        case([1, 65, 130, 2, 64], flags::BIAS, false, 20.0);
        case([3, 9, 1, 2, 4], flags::BIAS, true, 1.0);
        case([2, 150, 205, 3, 64], flags::BLOCKS, false, 1.0);
        case(
            [1, 70, 330, 2, 128],
            flags::BLOCKS | flags::BIAS | flags::MASK,
            true,
            2.0,
        );
    }
    cases
}

/// A small case of everything that attention by these matrices does: does a device compute it?
pub fn trial(factors: Factors) -> Call {
    let shape = [1, 35, 70, 2, 64];
    let case = Case {
        kernel: Attention::choose(shape[4], Tile::Matrices(factors), true).expect("a head that fits"),
        shape,
        flags: 0,
        sliced: false,
        size: 1.0,
    };
    // Nonsense is what is looked for.
    case.call(1).tolerance(1e-2)
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let [batch, lq, lk, heads, head_dim] = self.shape;
        let (first_query, skipped) = if self.sliced { (lq / 3, lq / 4) } else { (0, 0) };
        let (down, across) = (lq.div_ceil(BLOCK) + 1, lk.div_ceil(BLOCK));
        let p = Params {
            queries: lq - first_query - skipped,
            first_query,
            query_length: lq,
            key_length: lk,
            heads,
            head_dim,
            batch,
            flags: self.flags,
            scale: 1.0 / (head_dim as f32).sqrt(),
            first_block: u32::from(self.sliced),
            head_blocks: if self.sliced { 0 } else { down * across },
            _pad: 0,
        };
        let width = heads * head_dim;
        let q = random.floats((batch * lq * width) as usize, self.size);
        let k = random.floats((batch * lk * width) as usize, self.size);
        let v = random.floats((batch * lk * width) as usize, 1.0);
        let bias = random.floats(((lq + lk - 1) * heads) as usize, 3.0);
        let mask: Vec<_> = (0..lk)
            .map(|j| if j % 2 == 1 || j > lk / 2 { f32::MIN } else { 0.0 })
            .collect();
        let first_blocks = (p.first_block * across) as usize..((p.first_block + 1) * across) as usize;
        let blocks: Vec<_> = (0..(heads * down * across) as usize)
            .map(|i| {
                if first_blocks.contains(&i) {
                    0.0
                } else {
                    random.below(2) as f32
                }
            })
            .collect();
        let before = vec![UNTOUCHED; q.len()];
        let mut expected = before.clone();
        reference(
            &self.kernel,
            &p,
            Operands {
                q: &q,
                k: &k,
                v: &v,
                bias: &bias,
                mask: &mask,
                blocks: &blocks,
            },
            &mut expected,
        );
        let operands = vec![
            bytes(&q),
            bytes(&k),
            bytes(&v),
            bytes(&bias),
            bytes(&mask),
            bytes(&blocks),
            bytes(&before),
        ];
        // Large scores are themselves rounded.
        let tolerance = match self.kernel.tile {
            // The plain version does not round probabilities to f16.
            Tile::Matrices(_) => 2f32.powi(-11),
            _ => 5e-6 + 1e-7 * self.size * self.size,
        };
        let flops = 4.0 * f64::from(batch) * f64::from(p.queries) * f64::from(lk) * f64::from(width);
        Call::new(
            &self.kernel,
            &format!("{:?} flags {}", self.shape, self.flags),
            &p,
            operands,
            expected,
        )
        .tolerance(tolerance)
        .flops(flops)
    }
}
