//! Sizes to test and to measure.

use super::{INVOCATIONS, Peak, reference};
use crate::Kernel;
use crate::call::{Call, UNTOUCHED, bytes};

/// A case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: Peak,
    /// Workgroups.
    pub groups: u32,
    /// Rounds.
    pub rounds: u32,
}

/// The cases: few rounds, while the numbers still differ.
pub fn cases() -> Vec<Case> {
    let sizes = [(1, 0), (3, 1), (2, 5)];
    let of = |kernel| sizes.map(|(groups, rounds)| Case { kernel, groups, rounds });
    Peak::all().into_iter().flat_map(of).collect()
}

impl Case {
    /// The case; there is nothing to draw.
    pub fn call(&self, _seed: u64) -> Call {
        let p = self.kernel.params(self.groups, self.rounds);
        let before = vec![UNTOUCHED; (self.groups * INVOCATIONS) as usize + 5];
        let mut expected = before.clone();
        reference(&self.kernel, &p, &mut expected);
        let tolerance = match self.kernel {
            Peak::F32 => 1e-6,
            // Two roundings a step, of 2⁻¹¹ each, of which the factor leaves three quarters to the next.
            Peak::F16 => 8.0 / 2048.0,
            // Small integers.
            Peak::Dot4 | Peak::Matrices(_) => 0.0,
        };
        Call::new(
            &self.kernel,
            &format!("{} x {}", self.groups, self.rounds),
            &p,
            vec![bytes(&before)],
            expected,
        )
        .tolerance(tolerance)
        .flops(self.kernel.operations(&p))
    }
}
