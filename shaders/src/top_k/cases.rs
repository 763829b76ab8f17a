//! Shapes to test and to measure.

use super::{Params, TopK, reference};
use crate::call::{Call, Elements, Random, UNTOUCHED, bytes};

/// A case; the first row is 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Rows, columns, how many are chosen.
    pub shape: [u32; 3],
    /// Number of different logits: few make ties.
    pub values: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    [
        ([1, 1, 1], 2),
        ([70, 60, 4], 1 << 20),
        ([130, 128, 8], 40),
        ([9, 7, 7], 3),
    ]
    .map(|(shape, values)| Case { shape, values })
    .to_vec()
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let [rows, columns, k] = self.shape;
        let p = Params {
            rows,
            columns,
            k,
            first_row: 2,
        };
        let count = (2 + rows) * columns;
        let logits: Vec<f32> = (0..count).map(|_| random.below(self.values) as f32 - 1.5).collect();
        let before = vec![UNTOUCHED.to_bits(); ((2 + rows) * k) as usize];
        let mut expected = before.clone();
        reference(&p, &logits, &mut expected);
        let expected = Elements::U32.decode(&bytes(&expected));
        let operands = vec![bytes(&logits), bytes(&before)];
        Call::new(&TopK, &format!("{k} of {rows}x{columns}"), &p, operands, expected)
            .elements(Elements::U32)
            .tolerance(0.0)
    }
}
