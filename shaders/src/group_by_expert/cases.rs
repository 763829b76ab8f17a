//! Shapes to test and to measure.

use super::{GroupByExpert, Params, reference};
use crate::call::{Call, Elements, Random, UNTOUCHED, bytes};

/// A case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Ids.
    pub slots: u32,
    /// Experts.
    pub experts: u32,
    /// Only this many of them are chosen.
    pub popular: u32,
    /// Which are served.
    pub served: [u32; 2],
}

/// The cases: experts without a slot, one with all of them, a part of the experts.
pub fn cases() -> Vec<Case> {
    [
        (1, 1, 1, [0, 1]),
        (1000, 128, 128, [0, 128]),
        (333, 60, 7, [0, 60]),
        (300, 8, 1, [0, 8]),
        (77, 9, 9, [2, 5]),
    ]
    .map(|(slots, experts, popular, served)| Case {
        slots,
        experts,
        popular,
        served,
    })
    .to_vec()
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let p = Params {
            slots: self.slots,
            experts: self.experts,
            first_expert: self.served[0],
            last_expert: self.served[1],
        };
        let (ids, _) = drawn(&mut random, self.slots, self.experts, self.popular);
        let before = vec![UNTOUCHED.to_bits(); (2 * self.slots + self.experts + 1) as usize];
        let mut expected = before.clone();
        reference(&p, &ids, &mut expected);
        let expected = Elements::U32.decode(&bytes(&expected));
        let operands = vec![bytes(&ids), bytes(&before)];
        let shape = format!("{} of {} experts", self.slots, self.experts);
        Call::new(&GroupByExpert, &shape, &p, operands, expected)
            .elements(Elements::U32)
            .tolerance(0.0)
    }
}

/// Random ids, all among the last `popular` experts, and their grouping.
pub(crate) fn drawn(random: &mut Random, slots: u32, experts: u32, popular: u32) -> (Vec<u32>, Vec<u32>) {
    let first = experts - popular;
    let ids: Vec<u32> = (0..slots).map(|_| first + random.below(popular)).collect();
    let p = Params {
        slots,
        experts,
        first_expert: 0,
        last_expert: experts,
    };
    let mut groups = vec![0; (2 * slots + experts + 1) as usize];
    reference(&p, &ids, &mut groups);
    (ids, groups)
}
