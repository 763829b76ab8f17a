//! Shapes to test and to measure.

use super::{Operands, Params, QkNormRope, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::norm::Lanes;

/// A case; the first row is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: QkNormRope,
    /// Rows computed.
    pub rows: u32,
    /// Heads.
    pub heads: u32,
    /// Even.
    pub head_dim: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for lanes in Lanes::ALL {
        let kernel = QkNormRope { lanes };
        for (rows, heads, head_dim) in [(1, 1, 2), (21, 3, 6), (5, 2, 48), (9, 12, 128)] {
            cases.push(Case {
                kernel,
                rows,
                heads,
                head_dim,
            });
        }
    }
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let &Self {
            kernel,
            rows,
            heads,
            head_dim,
        } = self;
        let p = Params {
            rows,
            first_row: 1,
            heads,
            head_dim,
            eps: 1e-6,
            _pad: [0; 3],
        };
        let length = (rows + 1) as usize;
        let columns = (heads * head_dim) as usize;
        let x = random.floats(length * columns, 3.0);
        let scale = random.floats(columns, 2.0);
        let angles = random.floats(length * head_dim as usize / 2, 3.2);
        let cosines: Vec<_> = angles.iter().map(|a| a.cos()).collect();
        let sines: Vec<_> = angles.iter().map(|a| a.sin()).collect();
        let before = vec![UNTOUCHED; x.len()];
        let mut expected = before.clone();
        reference(
            &p,
            Operands {
                x: &x,
                scale: &scale,
                cosines: &cosines,
                sines: &sines,
            },
            &mut expected,
        );
        let operands = vec![bytes(&x), bytes(&scale), bytes(&cosines), bytes(&sines), bytes(&before)];
        Call::new(&kernel, &format!("{rows}x{heads}x{head_dim}"), &p, operands, expected).tolerance(2e-6)
    }
}
