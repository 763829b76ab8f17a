//! Shapes to test and to measure.

use super::{Operands, Params, Softmax, reference};
use crate::attention::BLOCK;
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::flags;

/// A case; the first row is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Rows computed.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// Size of the scores.
    pub size: f32,
    /// [`flags`]; the mask hides every other column, the bias is that of the second of three heads,
    /// and blocks hide about half of the elements, all of the first rows.
    pub flags: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    [
        (1, 1, 1.0, 0),
        (3, 7, 100.0, 0),
        (5, 300, 10.0, 0),
        (2, 1025, 1.0, 0),
        (4, 256, 1e30, 0),
        (5, 77, 3.0, flags::BIAS),
        (3, 513, 3.0, flags::MASK),
        (67, 33, 3.0, flags::BIAS | flags::MASK),
        (100, 130, 3.0, flags::BLOCKS),
        (70, 333, 3.0, flags::BIAS | flags::MASK | flags::BLOCKS),
    ]
    .map(|(rows, columns, size, flags)| Case {
        rows,
        columns,
        size,
        flags,
    })
    .to_vec()
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let &Self {
            rows,
            columns,
            size,
            flags,
        } = self;
        let heads = 3;
        let p = Params {
            rows,
            columns,
            first_row: 1,
            flags,
            first_bias: (rows - 1) * heads + 1,
            bias_stride: heads,
            first_query: 50,
            first_block: 3,
        };
        let mut random = Random::new(seed);
        let x = random.floats(((rows + 1) * columns) as usize, size);
        let bias = random.floats(((rows + columns - 1) * heads) as usize, 3.0);
        let mask: Vec<_> = (0..columns).map(|j| if j % 2 == 1 { f32::MIN } else { 0.0 }).collect();
        let across = columns.div_ceil(BLOCK);
        let blocks: Vec<_> = (0..p.first_block + (p.first_query + rows).div_ceil(BLOCK) * across)
            .map(|i| {
                if i < p.first_block + across {
                    0.0
                } else {
                    random.below(2) as f32
                }
            })
            .collect();
        let before = vec![UNTOUCHED; x.len()];
        let mut expected = before.clone();
        let operands = Operands {
            x: &x,
            bias: &bias,
            mask: &mask,
            blocks: &blocks,
        };
        reference(&p, operands, &mut expected);
        Call::new(
            &Softmax,
            &format!("{rows}x{columns} flags {flags}"),
            &p,
            vec![bytes(&x), bytes(&bias), bytes(&mask), bytes(&blocks), bytes(&before)],
            expected,
        )
        .tolerance(2e-6)
    }
}
