//! Shapes to test and to measure.

use super::{ExpertWeights, Params, reference};
use crate::Kernel;
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::top_k;

/// A case; the first row is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: ExpertWeights,
    /// Rows, logits and ids of a row.
    pub shape: [u32; 3],
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let shapes = [[67, 60, 4], [3, 128, 8], [1, 1, 1]];
    let with = |kernel| shapes.map(|shape| Case { kernel, shape });
    ExpertWeights::all().into_iter().flat_map(with).collect()
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
            first_row: 1,
            scale: 2.5,
            ..Default::default()
        };
        let logits = random.floats(((1 + rows) * columns) as usize, 8.0);
        let mut ids = vec![0; ((1 + rows) * k) as usize];
        let choice = top_k::Params {
            rows: 1 + rows,
            columns,
            k,
            first_row: 0,
        };
        top_k::reference(&choice, &logits, &mut ids);
        let before = vec![UNTOUCHED; ids.len()];
        let mut expected = before.clone();
        reference(&self.kernel, &p, &logits, &ids, &mut expected);
        let operands = vec![bytes(&logits), bytes(&ids), bytes(&before)];
        Call::new(
            &self.kernel,
            &format!("{k} of {rows}x{columns}"),
            &p,
            operands,
            expected,
        )
        .tolerance(4e-6)
    }
}
