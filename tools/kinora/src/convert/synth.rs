//! Full-size files with made-up numbers: the true names and shapes, for measurements without the real files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use kinora_models::wan::Variant;
use kinora_models::wan::files::Role;
use kinora_models::wan::manifest;
use kinora_models::wan::names::Part;
use kinora_quant::synth::RuleWeights;
use kinora_quant::{DType, TensorInfo, Weights};
use rayon::prelude::*;

use super::output::Output;
use super::{Container, Error, Target};

/// Elements that are dealt out together. All types have blocks of at most so many, and a whole number of them.
const CARD: usize = 256;

/// Cards of a pool.
const CARDS: usize = 2048;

/// Rows of a pool of rows.
const ROWS: usize = 256;

/// Bytes that are made at a time.
const PIECE: usize = 16 << 20;

/// What to make.
pub struct Synth<'a> {
    /// The model.
    pub variant: Variant,
    /// The part.
    pub role: Role,
    /// Type of the matrices.
    pub target: Target,
    /// The file to write.
    pub output: &'a Path,
    /// Other seeds, other numbers.
    pub seed: u64,
    /// Replace an existing file.
    pub force: bool,
}

impl Synth<'_> {
    /// Bytes of the tensors.
    ///
    /// # Errors
    /// [`Error::Extension`].
    pub fn bytes(&self) -> Result<u64, Error> {
        let tensors = self.tensors(self.target.container_of(self.output)?);
        Ok(tensors.values().map(|info| info.bytes() as u64).sum())
    }

    fn part(&self) -> Part {
        match self.role {
            Role::TextEncoder => Part::TextEncoder,
            Role::Vae => Part::Vae,
            Role::Transformer | Role::High | Role::Low => Part::Transformer,
        }
    }

    fn tensors(&self, container: Container) -> BTreeMap<String, TensorInfo> {
        let stored = |manifest::Entry { name, shape }| {
            let info = TensorInfo {
                dtype: DType::F16,
                shape,
            };
            let (dtype, _) = self.target.dtype_of(self.part(), &name, &info, container)?;
            Some((name, TensorInfo { dtype, ..info }))
        };
        manifest::tensors(self.variant, self.role)
            .into_iter()
            .filter_map(stored)
            .collect()
    }
}

/// Writes the file; `tell` hears of the bytes written since it last heard and stops the work by returning false.
/// The same job gives the same bytes. Memory is bounded by some tens of megabytes.
///
/// Encoding fourteen billion numbers would take longer than measuring with them. So a pool of valid blocks is encoded
/// for each size of numbers that is needed, and tensors are dealt out of it: numbers repeat, at random places.
///
/// # Errors
/// [`Error`]; no file is left then.
pub fn synth(job: &Synth<'_>, tell: &mut dyn FnMut(u64) -> bool) -> Result<(), Error> {
    let container = job.target.container_of(job.output)?;
    let tensors = job.tensors(container);
    let mut output = Output::create(job.output, container, &tensors, job.part(), job.force)?;
    let mut pools = BTreeMap::new();
    for (name, info) in &tensors {
        let size = size(name, &info.shape);
        let k = info.shape.last().copied().unwrap_or(1);
        let deck = Deck::of(info.dtype, k);
        let key = (deck, size.0.to_bits(), size.1.to_bits());
        let pool = match pools.entry(key) {
            Entry::Occupied(pool) => pool.into_mut(),
            Entry::Vacant(place) => place.insert(deck.pool(size, job.seed)?),
        };
        deal(job.seed, name, info, deck, pool, &mut output, tell)?;
    }
    output.finish()
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

    fn pool(self, (mean, amp): (f64, f64), seed: u64) -> Result<Vec<u8>, Error> {
        let (dtype, k, rows) = match self {
            Self::Cards(dtype) => (dtype, CARD, CARDS),
            Self::Rows(dtype, k) => (dtype, k, ROWS),
        };
        let rule = RuleWeights::new([("pool", vec![rows, k], mean, amp)], seed);
        let values = rule.tensor("pool")?.to_f32()?;
        Ok(dtype.encode(k, &values)?)
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

fn deal(
    seed: u64,
    name: &str,
    info: &TensorInfo,
    deck: Deck,
    pool: &[u8],
    output: &mut Output,
    tell: &mut dyn FnMut(u64) -> bool,
) -> Result<(), Error> {
    let (total, card) = (info.bytes(), deck.card_bytes());
    let cards = (pool.len() / card) as u64;
    // A stream of its own for each tensor: what comes before does not matter.
    let start = name.bytes().fold(seed ^ 0xCBF2_9CE4_8422_2325, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let step = (PIECE / card).max(1) * card;
    for begin in (0..total).step_by(step) {
        let mut piece = vec![0; step.min(total - begin)];
        piece.par_chunks_mut(card).enumerate().for_each(|(index, out)| {
            let pick = mix(start.wrapping_add((begin / card + index) as u64)) % cards;
            let from = pick as usize * card;
            out.copy_from_slice(&pool[from..from + out.len()]);
        });
        output.append(name, &piece)?;
        if !tell(piece.len() as u64) {
            return Err(Error::Cancelled);
        }
    }
    Ok(())
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
}
