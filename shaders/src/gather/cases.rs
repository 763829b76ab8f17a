//! Shapes to test and to measure.

use super::{Gather, Params, reference};
use crate::WeightType;
use crate::call::{Call, Random, UNTOUCHED, bytes};

/// A case; the first row is 1, the first id 3, the table starts at row 1 of the binding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: Gather,
    /// Ids served.
    pub rows: u32,
    /// Columns.
    pub k: u32,
    /// Rows of the table.
    pub ids: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for weight in WeightType::all() {
        for (rows, k, ids) in [(1, 1, 1), (7, 33, 10), (50, 64, 100)] {
            cases.push(Case {
                kernel: Gather { weight },
                rows,
                k: weight.whole(k),
                ids,
            });
        }
    }
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let &Self { kernel, rows, k, ids } = self;
        let p = Params {
            rows,
            k,
            first_row: 1,
            first_weight_row: 1,
            first_id: 3,
            ids,
            _pad: [0; 2],
        };
        let (table, table_bytes) = random.weights(kernel.weight, 1 + ids, k, 4.0);
        // Some lie before or behind the part that is bound.
        let row_ids: Vec<_> = (0..=rows).map(|_| random.below(ids + 6)).collect();
        let before = vec![UNTOUCHED; ((rows + 1) * k) as usize];
        let mut expected = before.clone();
        reference(&p, &table, &row_ids, &mut expected);
        let operands = vec![table_bytes, bytes(&row_ids), bytes(&before)];
        Call::new(&kernel, &format!("{rows}x{k} of {ids}"), &p, operands, expected).tolerance(0.0)
    }
}
