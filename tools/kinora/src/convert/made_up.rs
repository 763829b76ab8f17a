//! Numbers from nothing: weights of any type and size that are there at once.
//!
//! Encoding fourteen billion numbers would take longer than measuring with them. So a pool of valid blocks is encoded
//! for each size of numbers that is needed, and tensors are dealt out of it: numbers repeat, at random places.

use std::collections::BTreeMap;
use std::ops::Range;

use kinora_quant::synth::RuleWeights;
use kinora_quant::{DType, Error, Result, Tensor, TensorInfo, Weights};
use rayon::prelude::*;

/// Elements that are dealt out together. All types have blocks of at most so many, and a whole number of them.
const CARD: usize = 256;

/// Cards of a pool.
const CARDS: usize = 2048;

/// Rows of a pool of rows.
const ROWS: usize = 256;

/// Made-up weights. The same tensors and seed give the same bytes; nothing but the pools is kept.
pub struct MadeUp {
    tensors: BTreeMap<String, Made>,
    pools: Vec<Vec<u8>>,
    seed: u64,
}

struct Made {
    info: TensorInfo,
    deck: Deck,
    /// Index into the pools.
    pool: usize,
}

impl MadeUp {
    /// Tensors of these types and shapes, with numbers of a size that keeps activations near 1.
    ///
    /// # Errors
    /// Where rows are no whole blocks of a type.
    pub fn new(tensors: BTreeMap<String, TensorInfo>, seed: u64) -> Result<Self> {
        let (mut known, mut pools) = (BTreeMap::new(), Vec::new());
        let mut made = BTreeMap::new();
        for (name, info) in tensors {
            let size = size(&name, &info.shape);
            let deck = Deck::of(info.dtype, info.shape.last().copied().unwrap_or(1));
            let key = (deck, size.0.to_bits(), size.1.to_bits());
            let pool = match known.get(&key) {
                Some(pool) => *pool,
                None => {
                    pools.push(deck.pool(size, seed)?);
                    known.insert(key, pools.len() - 1);
                    pools.len() - 1
                }
            };
            made.insert(name, Made { info, deck, pool });
        }
        Ok(Self {
            tensors: made,
            pools,
            seed,
        })
    }

    fn made(&self, name: &str) -> Result<&Made> {
        self.tensors.get(name).ok_or_else(|| self.missing(name))
    }

    /// These bytes of a tensor.
    ///
    /// # Errors
    /// Where there is no such tensor.
    pub fn bytes(&self, name: &str, range: Range<usize>) -> Result<Vec<u8>> {
        let mut out = vec![0; range.len()];
        self.deal(name, range.start, &mut out)?;
        Ok(out)
    }

    /// Writes the bytes of a tensor from `start` on.
    fn deal(&self, name: &str, start: usize, out: &mut [u8]) -> Result<()> {
        let made = self.made(name)?;
        let (card, pool) = (made.deck.card_bytes(), &self.pools[made.pool]);
        let cards = (pool.len() / card) as u64;
        // A stream of its own for each tensor: what comes before does not matter.
        let stream = name.bytes().fold(self.seed ^ 0xCBF2_9CE4_8422_2325, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        let deal = |index: usize, skipped: usize, out: &mut [u8]| {
            let pick = mix(stream.wrapping_add(index as u64)) % cards;
            let from = pick as usize * card + skipped;
            out.copy_from_slice(&pool[from..from + out.len()]);
        };
        // The first card may begin before.
        let skipped = start % card;
        let (first, rest) = out.split_at_mut((card - skipped).min(out.len()));
        deal(start / card, skipped, first);
        rest.par_chunks_mut(card)
            .enumerate()
            .for_each(|(index, out)| deal(start / card + 1 + index, 0, out));
        Ok(())
    }
}

impl Weights for MadeUp {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.tensors.get(name).map(|made| made.info.clone())
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        let info = &self.made(name)?.info;
        Tensor::new(info.dtype, &info.shape, self.bytes(name, 0..info.bytes())?)
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn origin(&self) -> String {
        format!("made-up weights, seed {}", self.seed)
    }

    fn rows(&self, name: &str, range: Range<usize>) -> Result<Tensor<'_>> {
        let info = &self.made(name)?.info;
        let mut shape = info.shape.clone();
        shape[0] = range.len();
        Tensor::new(info.dtype, &shape, self.bytes(name, info.row_bytes(&range)?)?)
    }

    fn read_rows(&self, name: &str, range: Range<usize>, out: &mut [u8]) -> Result<()> {
        let info = &self.made(name)?.info;
        let bytes = info.row_bytes(&range)?;
        if bytes.len() != out.len() {
            return Err(Error::Length {
                dtype: info.dtype,
                shape: info.shape.clone(),
                got: out.len(),
            });
        }
        self.deal(name, bytes.start, out)
    }
}

/// Mean and amplitude that keep activations near 1: matrices have variance 1 / fan-in, norms lie around 1, biases and
/// tables around 0.
fn size(name: &str, shape: &[usize]) -> (f64, f64) {
    let norm = name.contains("norm") && name.ends_with("weight") || name.ends_with("gamma");
    let fan_in: usize = shape.iter().skip(1).product();
    match (norm, shape.len()) {
        (true, _) => (1.0, 0.1),
        (false, 0 | 1) => (0.0, 0.02),
        // A uniform distribution of half-width a has variance a² / 3.
        (false, _) => (0.0, (3.0 / fan_in as f64).sqrt()),
    }
}

/// What is dealt out at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deck {
    /// Runs of [`CARD`] elements of a type whose blocks follow each other.
    Cards(DType),
    /// Whole rows of so many elements: records.
    Rows(DType, usize),
}

impl Deck {
    fn of(dtype: DType, k: usize) -> Self {
        match dtype.format().tail {
            None => Self::Cards(dtype),
            Some(_) => Self::Rows(dtype, k),
        }
    }

    fn pool(self, (mean, amp): (f64, f64), seed: u64) -> Result<Vec<u8>> {
        let (dtype, k, rows) = match self {
            Self::Cards(dtype) => (dtype, CARD, CARDS),
            Self::Rows(dtype, k) => (dtype, k, ROWS),
        };
        let rule = RuleWeights::new([("pool", vec![rows, k], mean, amp)], seed);
        let values = rule.tensor("pool")?.to_f32()?;
        dtype.encode(k, &values)
    }

    /// Bytes of what is dealt out at a time.
    fn card_bytes(self) -> usize {
        let (dtype, k) = match self {
            Self::Cards(dtype) => (dtype, CARD),
            Self::Rows(dtype, k) => (dtype, k),
        };
        dtype.row_bytes(k).expect("a card is a number of whole blocks")
    }
}

/// The output function of splitmix64: neighbouring numbers give unrelated ones.
fn mix(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::Target;

    #[test]
    fn pools_of_every_type_hold_finite_numbers_of_the_right_size() {
        let (k, amp) = (512, 0.1);
        for target in Target::ALL {
            let deck = Deck::of(target.dtype, k);
            let pool = deck.pool((0.0, amp), 3).unwrap();
            assert_eq!(pool.len() % deck.card_bytes(), 0);
            let (width, elements) = match deck {
                Deck::Cards(_) => (CARD, CARD * CARDS),
                Deck::Rows(..) => (k, k * ROWS),
            };
            let mut values = vec![0.0; elements];
            target.dtype.decode(width, &pool, &mut values);
            let square = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / elements as f64;
            let expected = amp * amp / 3.0;
            assert!((square / expected - 1.0).abs() < 0.2, "{}: {square}", target.name);
            assert!(values.iter().all(|v| v.abs() < 2.0 * amp as f32), "{}", target.name);
        }
    }

    #[test]
    fn any_part_is_a_part_of_the_whole() {
        for dtype in [DType::F32, DType::Q4K, DType::Int8] {
            let shape = vec![5, 768];
            let info = TensorInfo { dtype, shape };
            let weights = MadeUp::new(BTreeMap::from([("w".to_owned(), info.clone())]), 3).unwrap();
            let whole = weights.tensor("w").unwrap();
            let row = info.bytes() / 5;
            let part = weights.rows("w", 1..4).unwrap();
            assert_eq!(part.data[..], whole.data[row..4 * row]);
            let mut read = vec![0; row];
            weights.read_rows("w", 4..5, &mut read).unwrap();
            assert_eq!(read, whole.data[4 * row..]);
            assert_eq!(weights.bytes("w", 7..row + 9).unwrap(), whole.data[7..row + 9]);
        }
    }
}
