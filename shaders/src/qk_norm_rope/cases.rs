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
    /// See [`Params`].
    pub operands: u32,
    /// The one that is compared.
    pub operand: usize,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for lanes in Lanes::ALL {
        let kernel = QkNormRope { lanes };
        for (rows, heads, head_dim) in [(1, 1, 2), (21, 3, 6), (5, 2, 48), (9, 12, 128)] {
            for (operands, operand) in [(1, 0), (2, 0), (2, 1)] {
                cases.push(Case {
                    kernel,
                    rows,
                    heads,
                    head_dim,
                    operands,
                    operand,
                });
            }
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
            operands,
            operand,
        } = self;
        let p = Params {
            rows,
            first_row: 1,
            heads,
            head_dim,
            eps: 1e-6,
            operands,
            _pad: [0; 2],
        };
        let length = (rows + 1) as usize;
        let columns = (heads * head_dim) as usize;
        let xs = [3.0, 2.0].map(|range| random.floats(length * columns, range));
        let scales = [2.0, 1.0].map(|range| random.floats(columns, range));
        let angles = random.floats(length * head_dim as usize / 2, 3.2);
        let cosines: Vec<_> = angles.iter().map(|a| a.cos()).collect();
        let sines: Vec<_> = angles.iter().map(|a| a.sin()).collect();
        let before = vec![UNTOUCHED; length * columns];
        let mut expected = before.clone();
        reference(
            &p,
            Operands {
                x: &xs[operand],
                scale: &scales[operand],
                cosines: &cosines,
                sines: &sines,
            },
            &mut expected,
        );
        let [x0, x1] = xs.map(|x| bytes(&x));
        let [scale0, scale1] = scales.map(|scale| bytes(&scale));
        let (cosines, sines) = (bytes(&cosines), bytes(&sines));
        let out = bytes(&before);
        let shape = format!("{rows}x{heads}x{head_dim} {operand} of {operands}");
        let operands = vec![x0, x1, scale0, scale1, cosines, sines, out.clone(), out];
        let out = operands.len() - 2 + operand;
        Call::new(&kernel, &shape, &p, operands, expected)
            .comparing(out)
            .tolerance(2e-6)
    }
}
