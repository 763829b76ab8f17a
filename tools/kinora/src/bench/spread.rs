//! Repeated measurements and what is said of them.

use serde::{Deserialize, Serialize};

/// Seconds of several samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
    /// A quarter is shorter.
    pub lower_quartile: f64,
    /// A quarter is longer.
    pub upper_quartile: f64,
    /// How many.
    pub samples: usize,
}

impl Spread {
    /// What `samples` (one at least) say.
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let last = samples.len() - 1;
        // Between neighbours where the place is between them.
        let at = |share: f64| {
            let place = share * last as f64;
            let (low, high) = (samples[place.floor() as usize], samples[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        Self {
            median: at(0.5),
            min: samples[0],
            max: samples[last],
            lower_quartile: at(0.25),
            upper_quartile: at(0.75),
            samples: samples.len(),
        }
    }
}

/// When to stop taking samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Seconds that all samples of a row take together, about.
    pub seconds: f64,
    /// Least number of samples, where a single one does not take longer than all should together.
    pub least: usize,
    /// Most.
    pub most: usize,
}

impl Budget {
    /// For real figures, or for a quick look.
    pub fn new(quick: bool) -> Self {
        match quick {
            false => Self {
                seconds: 2.0,
                least: 5,
                most: 100,
            },
            true => Self {
                seconds: 0.3,
                least: 3,
                most: 20,
            },
        }
    }

    /// Takes samples until there are enough.
    ///
    /// # Errors
    /// The first of `sample`.
    pub fn sample<E>(&self, mut sample: impl FnMut() -> Result<f64, E>) -> Result<Spread, E> {
        let (mut samples, mut total) = (Vec::new(), 0.0);
        while samples.len() < self.most {
            let seconds = sample()?;
            samples.push(seconds);
            total += seconds;
            let least = if seconds > self.seconds { 2 } else { self.least };
            if total >= self.seconds && samples.len() >= least {
                break;
            }
        }
        Ok(Spread::of(samples))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_samples() {
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 3.0]);
        assert_eq!(
            (spread.min, spread.lower_quartile, spread.median, spread.upper_quartile),
            (1.0, 1.75, 2.5, 3.25)
        );
        assert_eq!((spread.max, spread.samples), (4.0, 4));
        assert_eq!(Spread::of(vec![7.0]).upper_quartile, 7.0);
    }

    #[test]
    fn slow_samples_are_few_and_fast_ones_many() {
        let count = |seconds| {
            let spread = Budget::new(false).sample(|| Ok::<_, ()>(seconds)).unwrap();
            spread.samples
        };
        assert_eq!([count(10.0), count(0.5), count(0.1), count(1e-4)], [2, 5, 20, 100]);
    }
}
