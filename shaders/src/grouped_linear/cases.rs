//! Shapes to test and to measure.

use super::{GroupedLinear, Operands, Params, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::{Activation, Factors, WeightType, flags, group_by_expert};

/// A case. R is two more than N, and the second row of each expert is the first that is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: GroupedLinear,
    /// Tokens, columns, features.
    pub shape: [u32; 3],
    /// Slots of a token.
    pub per_row: u32,
    /// Experts.
    pub experts: u32,
    /// How many of them have slots.
    pub popular: u32,
    /// Which are bound.
    pub bound: [u32; 2],
    /// [`flags`].
    pub flags: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let kernel = |weight, factors, from_tokens, activation| GroupedLinear {
        weight,
        factors,
        from_tokens,
        activation,
    };
    let usual = |kernel: GroupedLinear| Case {
        kernel,
        shape: [40, 67, kernel.weight.whole(37)],
        per_row: 3,
        experts: 5,
        popular: 5,
        bound: [0, 5],
        flags: flags::BIAS,
    };
    // Every type; both sources of rows take turns.
    let mut cases: Vec<_> = WeightType::all()
        .enumerate()
        .map(|(i, weight)| {
            usual(kernel(
                weight,
                Factors::ALL[i % Factors::ALL.len()],
                i % 2 == 0,
                Activation::ALL[i % 4],
            ))
        })
        .collect();
    for from_tokens in [false, true] {
        let kernel = kernel(WeightType::F32, Factors::F32, from_tokens, Activation::Silu);
        // One expert has all slots, the others none; every expert has a few; some are bound elsewhere; a single row.
        cases.extend([
            Case {
                shape: [70, 66, 33],
                popular: 1,
                experts: 9,
                bound: [0, 9],
                ..usual(kernel)
            },
            Case {
                shape: [9, 5, 64],
                experts: 60,
                popular: 33,
                bound: [0, 60],
                flags: 0,
                ..usual(kernel)
            },
            Case {
                shape: [200, 12, 20],
                bound: [1, 4],
                ..usual(kernel)
            },
            Case {
                shape: [1, 1, 1],
                per_row: 1,
                experts: 1,
                popular: 1,
                bound: [0, 1],
                ..usual(kernel)
            },
        ]);
    }
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let [tokens, n, k] = self.shape;
        let slots = tokens * self.per_row;
        let p = Params {
            n,
            k,
            first_tile: 0,
            tiles: GroupedLinear::tiles(slots, self.experts),
            slots,
            experts: self.experts,
            first_expert: self.bound[0],
            last_expert: self.bound[1],
            expert_rows: n + 2,
            first_row: 1,
            per_row: self.per_row,
            flags: self.flags,
        };
        let (_, groups) = group_by_expert::drawn(&mut random, slots, self.experts, self.popular);
        let rows = if self.kernel.from_tokens { tokens } else { slots };
        let x = random.floats((rows * k) as usize, 2.0);
        let bound = (self.bound[1] - self.bound[0]) * p.expert_rows;
        let scale = 1.0 / (k as f32).sqrt();
        let (weight, weight_bytes) = random.weights(self.kernel.weight, bound, k, scale);
        let bias = random.floats((self.experts * p.expert_rows) as usize, 1.0);
        let before = vec![UNTOUCHED; (slots * n) as usize];
        let mut expected = before.clone();
        let operands = Operands {
            x: &x,
            weight: &weight,
            groups: &groups,
            bias: &bias,
        };
        reference(&self.kernel, &p, operands, &mut expected);
        let operands = vec![weight_bytes, bytes(&x), bytes(&groups), bytes(&bias), bytes(&before)];
        let shape = format!("{tokens}x{n}x{k}, {} of {} experts", self.per_row, self.experts);
        Call::new(&self.kernel, &shape, &p, operands, expected)
            .tolerance(2e-6)
            .flops(2.0 * f64::from(slots) * f64::from(n) * f64::from(k))
    }
}
