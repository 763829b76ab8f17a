//! Shapes to test and to measure.

use super::{Operands, Params, ScatterExperts, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::group_by_expert;

/// A case; the first row is 1, its first slot the third.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Tokens computed, columns, slots of a token.
    pub shape: [u32; 3],
    /// Experts.
    pub experts: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    [([1, 1, 1], 1), ([30, 37, 4], 9), ([5, 300, 8], 60)]
        .map(|(shape, experts)| Case { shape, experts })
        .to_vec()
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let [rows, columns, k] = self.shape;
        let slots = 2 + (rows + 1) * k;
        let p = Params {
            rows,
            columns,
            k,
            first_row: 1,
            first_slot: 2,
            slots,
            ..Default::default()
        };
        let (_, groups) = group_by_expert::drawn(&mut random, slots, self.experts, self.experts);
        let x = random.floats((slots * columns) as usize, 2.0);
        let weights = random.floats(((rows + 1) * k) as usize, 1.0);
        let before = vec![UNTOUCHED; ((rows + 1) * columns) as usize];
        let mut expected = before.clone();
        let o = Operands {
            x: &x,
            groups: &groups,
            weights: &weights,
        };
        reference(&p, o, &mut expected);
        let operands = vec![bytes(&x), bytes(&groups), bytes(&weights), bytes(&before)];
        Call::new(
            &ScatterExperts,
            &format!("{k} of {rows}x{columns}"),
            &p,
            operands,
            expected,
        )
        .tolerance(1e-6)
    }
}
