//! Seeded Gaussian noise with the values of torch's CPU generator, so that a seed means what it means elsewhere.
//!
//! Sources: PyTorch `aten/src/ATen/core/MT19937RNGEngine.h`, `core/DistributionsHelper.h`,
//! `native/cpu/DistributionTemplates.h` (`normal_fill`). The random integers and uniforms are torch's exactly; the
//! normals agree to about 1e-6, because torch's vectorised logarithm and sine are polynomials that differ by build.

use std::f64::consts::TAU;

use rand_mt::Mt;
use serde::{Deserialize, Serialize};

/// Words of the mt19937 state, and outputs per turn of it.
const BLOCK: usize = 624;

/// Elements per Box-Muller block; tensors shorter than this are drawn one by one in f64.
const FILL: usize = 16;

/// A Gaussian noise generator that continues over calls like `torch.Generator(device="cpu")`.
#[derive(Clone, Debug)]
pub struct Generator {
    twister: Mt,
    /// The outputs of the twister's current turn.
    block: [u32; BLOCK],
    /// How many of them are used up.
    used: usize,
    /// Second value of the last f64 pair, not yet handed out.
    spare: Option<f64>,
}

/// A [`Generator`]'s state, as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratorState {
    /// The last 624 outputs of mt19937 up to the end of its current turn: they determine its state.
    pub block: Vec<u32>,
    /// How many of `block` have been used.
    pub used: usize,
    /// Second value of the last f64 pair, if not yet handed out.
    pub spare: Option<f64>,
}

/// A generator state that no generator can have.
#[derive(Debug, thiserror::Error)]
#[error("generator state has {words} words with {used} used: it should have {BLOCK}")]
pub struct BadGeneratorState {
    words: usize,
    used: usize,
}

/// `n` standard normal values, as `torch.manual_seed(seed); torch.randn(n)` on the CPU in f32. Only the low 32 bits
/// of the seed count, as in torch.
pub fn randn(seed: u64, n: usize) -> Vec<f32> {
    Generator::new(seed).randn(n)
}

impl Generator {
    /// A generator after `manual_seed(seed)`.
    pub fn new(seed: u64) -> Self {
        Self::at_start_of_turn(Mt::new(seed as u32), None)
    }

    fn at_start_of_turn(mut twister: Mt, spare: Option<f64>) -> Self {
        let block = std::array::from_fn(|_| twister.next_u32());
        Self {
            twister,
            block,
            used: 0,
            spare,
        }
    }

    /// The next `n` standard normal values, as one `torch.randn(n, generator=…)` call: a tensor of 16 elements or
    /// more consumes the generator otherwise than several short ones.
    pub fn randn(&mut self, n: usize) -> Vec<f32> {
        if n < FILL {
            return (0..n).map(|_| self.normal_f64() as f32).collect();
        }
        let mut values: Vec<f32> = (0..n).map(|_| self.uniform_f32()).collect();
        for block in values.chunks_exact_mut(FILL) {
            box_muller(block);
        }
        if !n.is_multiple_of(FILL) {
            let tail = &mut values[n - FILL..];
            tail.fill_with(|| self.uniform_f32());
            box_muller(tail);
        }
        values
    }

    /// The state, to be restored by [`from_state`](Self::from_state).
    pub fn state(&self) -> GeneratorState {
        GeneratorState {
            block: self.block.to_vec(),
            used: self.used,
            spare: self.spare,
        }
    }

    /// The generator that had this state: it goes on with the same bits.
    ///
    /// # Errors
    /// If the state has not 624 words, or counts more of them as used.
    pub fn from_state(state: &GeneratorState) -> Result<Self, BadGeneratorState> {
        let bad = BadGeneratorState {
            words: state.block.len(),
            used: state.used,
        };
        match <[u32; BLOCK]>::try_from(state.block.as_slice()) {
            Ok(block) if state.used <= BLOCK => Ok(Self {
                twister: Mt::from(block),
                block,
                used: state.used,
                spare: state.spare,
            }),
            _ => Err(bad),
        }
    }

    fn next_u32(&mut self) -> u32 {
        if self.used == BLOCK {
            self.block = std::array::from_fn(|_| self.twister.next_u32());
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// Uniform in `[0, 1)` with 24 bits.
    fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() & 0xff_ffff) as f32 / 16_777_216.0
    }

    /// Uniform in `[0, 1)` with 53 bits, from two words, high word first.
    fn uniform_f64(&mut self) -> f64 {
        let (high, low) = (u64::from(self.next_u32()), u64::from(self.next_u32()));
        ((high << 32 | low) & ((1 << 53) - 1)) as f64 / (1_u64 << 53) as f64
    }

    /// One value of the f64 pair method, of which torch keeps the second for the next call.
    fn normal_f64(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (angle, depth) = (TAU * self.uniform_f64(), self.uniform_f64());
        let radius = (-2.0 * (-depth).ln_1p()).sqrt();
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

/// Turns 16 uniforms into 16 normals: the first half gives the radii, the second the angles. Radius and angle are
/// rounded to f32 as torch does; the functions between are f64, the same on every machine to the last f32 bit.
fn box_muller(block: &mut [f32]) {
    for j in 0..FILL / 2 {
        let log = f64::from(1.0 - block[j]).ln() as f32;
        let radius = (-2.0 * log).sqrt();
        let (sin, cos) = f64::from(TAU as f32 * block[j + FILL / 2]).sin_cos();
        block[j] = radius * cos as f32;
        block[j + FILL / 2] = radius * sin as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32) {
        assert_eq!(actual.len(), expected.len());
        for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
            assert!(
                (a - e).abs() <= tolerance * e.abs().max(1.0),
                "value {i}: {a} instead of {e}"
            );
        }
    }

    #[test]
    fn the_checked_values_of_seeds_0_and_42() {
        assert_close(
            &randn(0, 64)[..6],
            &[-1.1258, -1.1524, -0.2506, -0.4339, 0.8487, 0.6920],
            1e-4,
        );
        assert_close(&randn(42, 64)[..4], &[1.9269, 1.4873, 0.9007, -2.1055], 1e-4);
    }

    #[test]
    fn torch_s_own_values() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/torch_randn.json");
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let values = |value: &serde_json::Value| serde_json::from_value::<Vec<f32>>(value.clone()).unwrap();
        for row in rows {
            let mut generator = Generator::new(row["seed"].as_u64().unwrap());
            if let Some(size) = row["size"].as_u64() {
                let (all, first, last) = (
                    generator.randn(size as usize),
                    values(&row["first"]),
                    values(&row["last"]),
                );
                assert_close(&all[..first.len()], &first, 1e-6);
                assert_close(&all[all.len() - last.len()..], &last, 1e-6);
            }
            for draw in row["draws"].as_array().into_iter().flatten().map(values) {
                assert_close(&generator.randn(draw.len()), &draw, 1e-6);
            }
        }
    }

    #[test]
    fn only_the_low_half_of_the_seed_counts() {
        assert_eq!(randn(7, 20), randn(7 | 0xdead_beef_0000_0000, 20));
        assert_ne!(randn(7, 20), randn(8, 20));
    }

    #[test]
    fn a_restored_generator_goes_on_with_the_same_bits() {
        let sizes = [5, 16, 17, 3, 1000, 0, 1, 640];
        for stop in 0..sizes.len() {
            let mut whole = Generator::new(99);
            let mut resumed = Generator::new(99);
            for (i, &n) in sizes.iter().enumerate() {
                if i == stop {
                    let saved = serde_json::to_string(&resumed.state()).unwrap();
                    resumed = Generator::from_state(&serde_json::from_str(&saved).unwrap()).unwrap();
                }
                assert_eq!(whole.randn(n), resumed.randn(n), "stopped at {stop}, call {i}");
            }
        }
    }

    #[test]
    fn impossible_states_are_errors() {
        let good = Generator::new(1).state();
        let short = GeneratorState {
            block: vec![0; BLOCK - 1],
            ..good.clone()
        };
        let beyond = GeneratorState {
            used: BLOCK + 1,
            ..good
        };
        assert!(Generator::from_state(&short).is_err());
        assert!(Generator::from_state(&beyond).is_err());
    }

    #[test]
    fn moments_are_those_of_a_standard_normal() {
        let values = randn(3, 100_003);
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / 100_003.0;
        let variance = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 100_003.0;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
