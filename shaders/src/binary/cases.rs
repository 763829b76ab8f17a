//! Shapes to test and to measure.

use super::{Binary, Params, reference};
use crate::Kernel;
use crate::call::{Call, Random, UNTOUCHED, bytes};

/// A case; the first element is 5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: Binary,
    /// Elements.
    pub count: u32,
    /// Elements of b.
    pub b_count: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kernel in Binary::all() {
        for (count, b_count) in [(1, 1), (1000, 7), (1000, 1005)] {
            cases.push(Case { kernel, count, b_count });
        }
    }
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let &Self { kernel, count, b_count } = self;
        let p = Params {
            count,
            first: 5,
            b_count,
            _pad: 0,
        };
        let a = random.floats(count as usize + 8, 2.0);
        let b = random.floats(b_count as usize, 2.0);
        let before = vec![UNTOUCHED; a.len()];
        let mut expected = before.clone();
        reference(&kernel, &p, &a, &b, &mut expected);
        Call::new(
            &kernel,
            &format!("{count} by {b_count}"),
            &p,
            vec![bytes(&a), bytes(&b), bytes(&before)],
            expected,
        )
        .tolerance(0.0)
    }
}
