//! Shapes to test and to measure.

use super::{Copy, Params, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};

/// A case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Vectors of four words.
    pub count: u32,
    /// First one.
    pub first: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    [(1, 0), (300, 7), (1021, 3)]
        .map(|(count, first)| Case { count, first })
        .to_vec()
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let &Self { count, first } = self;
        let p = Params {
            count,
            first,
            ..Params::default()
        };
        let x = Random::new(seed).floats(4 * (first + count + 3) as usize, 2.0);
        let before = vec![UNTOUCHED; x.len()];
        let mut expected = before.clone();
        reference(&p, &x, &mut expected);
        Call::new(
            &Copy,
            &format!("{count} from {first}"),
            &p,
            vec![bytes(&x), bytes(&before)],
            expected,
        )
        .tolerance(0.0)
    }
}
