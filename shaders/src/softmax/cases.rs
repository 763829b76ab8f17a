//! Shapes to test and to measure.

use super::{Params, Softmax, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};

/// A case; the first row is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Rows computed.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// Size of the scores.
    pub size: f32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    [
        (1, 1, 1.0),
        (3, 7, 100.0),
        (5, 300, 10.0),
        (2, 1025, 1.0),
        (4, 256, 1e30),
    ]
    .map(|(rows, columns, size)| Case { rows, columns, size })
    .to_vec()
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let &Self { rows, columns, size } = self;
        let p = Params {
            rows,
            columns,
            first_row: 1,
            _pad: 0,
        };
        let x = Random::new(seed).floats(((rows + 1) * columns) as usize, size);
        let before = vec![UNTOUCHED; x.len()];
        let mut expected = before.clone();
        reference(&p, &x, &mut expected);
        Call::new(
            &Softmax,
            &format!("{rows}x{columns}"),
            &p,
            vec![bytes(&x), bytes(&before)],
            expected,
        )
        .tolerance(2e-6)
    }
}
