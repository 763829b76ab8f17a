//! Shapes to test and to measure.

use kinora_quant::int8::column_means;

use super::{Attention, BLOCK, Operands, Params, Tile, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::quantize_heads::{self, QuantizeHeads};
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
    for (software, round_f16) in [(false, false), (true, false), (true, true)] {
        let mut case = |shape: [u32; 5], flags, sliced, size| {
            cases.push(Case {
                kernel: Attention::choose_int8(shape[4], software, round_f16).expect("a head that fits"),
                shape,
                flags,
                sliced,
                size,
            });
        };
        case([1, 150, 45, 5, 48], 0, true, 1.0);
        case([2, 33, 67, 3, 128], flags::BIAS | flags::MASK, false, 2.0);
        case([1, 63, 130, 4, 64], flags::BIAS, false, 20.0);
        case([3, 9, 1, 2, 16], flags::BIAS, true, 1.0);
        case([1, 65, 70, 1, 112], flags::MASK, true, 5.0);
        case([2, 150, 205, 5, 64], flags::BLOCKS, false, 1.0);
    }
    cases
}

/// Rows of q or, with their mean subtracted, of k as [`Attention::int8`] takes them, one batch; and the numbers that they
/// stand for.
fn quantized(x: &[f32], [heads, head_dim]: [u32; 2], smooth: bool) -> (Vec<u32>, Vec<f32>) {
    let width = heads * head_dim;
    let rows = x.len() as u32 / width;
    let p = quantize_heads::Params {
        rows,
        heads,
        head_dim,
        first_row: 0,
    };
    let mut words = vec![0; (rows * quantize_heads::words(heads, head_dim)) as usize];
    let mean = column_means(x, width as usize);
    quantize_heads::reference(QuantizeHeads { smooth }, &p, x, &mean, &mut words);
    let numbers = quantize_heads::dequantize(heads, head_dim, &words);
    (words, numbers)
}

/// A small case of everything that attention by these matrices does with heads of `head_dim` elements: does a device
/// compute it?
pub fn trial(factors: Factors, head_dim: u32) -> Call {
    let shape = [1, 35, 70, 2, head_dim];
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
        let ((q_bytes, q), (k_bytes, k)) = (self.factor(q, lq, false), self.factor(k, lk, true));
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
            q_bytes,
            k_bytes,
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

    /// What is bound of q or k, whose batches have `rows` rows, and the numbers that the kernel multiplies.
    fn factor(&self, x: Vec<f32>, rows: u32, smooth: bool) -> (Vec<u8>, Vec<f32>) {
        if !self.kernel.int8 {
            return (bytes(&x), x);
        }
        let [.., heads, head_dim] = self.shape;
        let batches = x.chunks((rows * heads * head_dim) as usize);
        let (words, numbers): (Vec<_>, Vec<_>) = batches.map(|x| quantized(x, [heads, head_dim], smooth)).unzip();
        (bytes(&words.concat()), numbers.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::{Attention, Operands, Params, Tile, quantized, reference};
    use crate::call::Random;

    /// Largest differences, relative to the largest number, of int8 scores from float ones, with keys smoothed and not.
    fn errors(offset: f32) -> [f32; 2] {
        let (queries, keys, heads, head_dim) = (32, 200, 2, 64);
        let p = Params {
            queries,
            query_length: queries,
            key_length: keys,
            heads,
            head_dim,
            batch: 1,
            scale: 0.125,
            ..Params::default()
        };
        let width = (heads * head_dim) as usize;
        let mut random = Random::new(3);
        let mut rows = |count: u32, size| random.floats(count as usize * width, size);
        let (q, v, common) = (rows(queries, 2.0), rows(keys, 1.0), rows(1, offset));
        let mut k = rows(keys, 2.0);
        k.iter_mut().enumerate().for_each(|(i, k)| *k += common[i % width]);
        let kernel = Attention::choose(head_dim, Tile::Side4, false).unwrap();
        let run = |q: &[f32], k: &[f32]| {
            let mut out = vec![0.0; q.len()];
            let o = Operands {
                q,
                k,
                v: &v,
                ..Operands::default()
            };
            reference(&kernel, &p, o, &mut out);
            out
        };
        let expected = run(&q, &k);
        let largest = expected.iter().fold(0f32, |most, e| most.max(e.abs()));
        let [(_, q), (_, smooth), (_, plain)] =
            [(&q, false), (&k, true), (&k, false)].map(|(x, smooth)| quantized(x, [heads, head_dim], smooth));
        [smooth, plain].map(|k| {
            let pairs = expected.iter().zip(run(&q, &k));
            pairs.fold(0f32, |most, (e, f)| most.max((e - f).abs())) / largest
        })
    }

    #[test]
    fn smoothing_spares_int8_scores_what_keys_have_in_common() {
        let [smooth, plain] = errors(0.0);
        println!("no offset: {smooth:.1e} smoothed, {plain:.1e} not");
        assert!(smooth < 1e-2 && plain < 1e-2, "{smooth} {plain}");
        // As strong as in some models: keys differ by 2, and have 40 in common.
        let [smooth, plain] = errors(40.0);
        println!("offset of 40: {smooth:.1e} smoothed, {plain:.1e} not");
        assert!(smooth < 1e-2, "{smooth}");
        assert!(plain > 5.0 * smooth, "{plain} {smooth}");
    }
}
