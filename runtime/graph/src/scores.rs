//! Arithmetic of attention's scores.

use std::fmt;
use std::str::FromStr;

/// What scores of attention, q kᵀ, are sums of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scores {
    /// Products of numbers, rounded as the run's precision says.
    #[default]
    Float,
    /// Products of signed bytes (SageAttention, arXiv 2410.02367). The mean of all keys is subtracted from each, which no
    /// softmax sees; then each head of a row of q and k is quantised by its largest magnitude. Of values that have a
    /// batch, and of heads that are no multiple of 16 or beyond 128, scores stay [`Self::Float`].
    Int8,
}

impl Scores {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Float, Self::Int8];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Int8 => "int8",
        }
    }

    /// These scores, or float ones where q of `shape` with `heads` heads takes no others.
    pub(crate) fn of(self, shape: &[usize], heads: usize) -> Self {
        match *shape {
            [_, width] if (width / heads).is_multiple_of(16) && width / heads <= 128 => self,
            _ => Self::Float,
        }
    }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scores {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scores| scores.name() == name);
        found.ok_or_else(|| format!("`{name}` is neither float nor int8"))
    }
}

#[cfg(test)]
mod tests {
    use super::Scores;

    #[test]
    fn heads_that_do_not_fit_stay_float() {
        assert_eq!(Scores::Int8.of(&[9, 256], 2), Scores::Int8);
        assert_eq!(Scores::Float.of(&[9, 256], 2), Scores::Float);
        for (shape, heads) in [(&[9, 256][..], 1), (&[9, 72], 3), (&[1, 9, 256], 2)] {
            assert_eq!(Scores::Int8.of(shape, heads), Scores::Float, "{shape:?} {heads}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for scores in Scores::ALL {
            assert_eq!(scores.to_string().parse(), Ok(scores));
        }
        assert!("int4".parse::<Scores>().is_err_and(|why| why.contains("int8")));
    }
}
