//! Shapes to test and to measure.

use super::{Params, SumRows, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};

/// A case; the first row of x is 2, that of the result 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Rows to sum.
    pub rows: u32,
    /// Elements of a row.
    pub width: u32,
    /// Rows of a sum.
    pub block: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    [(1, 4, 128), (300, 260, 128), (256, 96, 64), (7, 1024, 7)]
        .map(|(rows, width, block)| Case { rows, width, block })
        .to_vec()
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let &Self { rows, width, block } = self;
        let p = Params {
            rows,
            width,
            block,
            first_row: 2,
            out_row: 1,
            factor: 0.3,
            ..Params::default()
        };
        let x = Random::new(seed).floats(((rows + 3) * width) as usize, 2.0);
        let before = vec![UNTOUCHED; ((rows.div_ceil(block) + 2) * width) as usize];
        let mut expected = before.clone();
        reference(&p, &x, &mut expected);
        let shape = format!("{rows}x{width} by {block}");
        Call::new(&SumRows, &shape, &p, vec![bytes(&x), bytes(&before)], expected).tolerance(0.0)
    }
}
