//! Shapes to test and to measure.

use super::{Params, Unary, reference};
use crate::Kernel;
use crate::call::{Call, Random, UNTOUCHED, bytes};

/// A case; the first element is 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: Unary,
    /// Elements.
    pub count: u32,
    /// Size of the numbers.
    pub size: f32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kernel in Unary::all() {
        for (count, size) in [(1, 1.0), (777, 4.0), (300, 60.0), (300, 3000.0)] {
            cases.push(Case { kernel, count, size });
        }
    }
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let &Self { kernel, count, size } = self;
        let p = Params {
            count,
            first: 2,
            low: -0.5,
            high: 1.5,
        };
        let x = Random::new(seed).floats(count as usize + 3, size);
        let before = vec![UNTOUCHED; x.len()];
        let mut expected = before.clone();
        reference(&kernel, &p, &x, &mut expected);
        Call::new(
            &kernel,
            &format!("{count} up to {size}"),
            &p,
            vec![bytes(&x), bytes(&before)],
            expected,
        )
        .tolerance(2e-6)
    }
}
