//! Shapes to test and to measure.

use super::{Lanes, Norm, NormKind, Operands, Params, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::{Activation, flags};

/// A case; the first row is 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: Norm,
    /// Rows computed.
    pub rows: u32,
    /// C
    pub columns: u32,
    /// [`flags`].
    pub flags: u32,
    /// Added to every element: statistics must not cancel.
    pub mean: f32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in NormKind::ALL {
        for activation in [Activation::None, Activation::Silu] {
            for lanes in Lanes::ALL {
                let kernel = Norm {
                    kind,
                    activation,
                    lanes,
                };
                let modulated = flags::TABLE | flags::ROWS;
                cases.push(Case {
                    kernel,
                    rows: 5,
                    columns: 37,
                    flags: modulated,
                    mean: 0.0,
                });
                cases.push(Case {
                    kernel,
                    rows: 33,
                    columns: 131,
                    flags: flags::WEIGHT | flags::BIAS,
                    mean: 5.0,
                });
                cases.push(Case {
                    kernel,
                    rows: 1,
                    columns: 1,
                    flags: flags::WEIGHT,
                    mean: 1.0,
                });
            }
        }
        let kernel = Norm {
            kind,
            activation: Activation::None,
            lanes: Lanes::L256,
        };
        let all = flags::WEIGHT | flags::BIAS | flags::TABLE;
        cases.push(Case {
            kernel,
            rows: 7,
            columns: 1536,
            flags: all,
            mean: 30.0,
        });
    }
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let (first_row, table_rows, columns) = (2, 3, self.columns);
        let p = Params {
            rows: self.rows,
            columns,
            first_row,
            flags: self.flags,
            shift_column: 1,
            scale_column: columns + 2,
            table_stride: 2 * columns + 5,
            eps: 1e-5,
        };
        let rows = (first_row + self.rows) as usize;
        let x: Vec<_> = random
            .floats(rows * columns as usize, 2.0)
            .iter()
            .map(|v| v + self.mean)
            .collect();
        let scale = random.floats(columns as usize, 2.0);
        let bias = random.floats(columns as usize, 1.0);
        let table = random.floats(table_rows * p.table_stride as usize, 1.0);
        let row_ids: Vec<_> = (0..rows).map(|_| random.below(table_rows as u32)).collect();
        let before = vec![UNTOUCHED; x.len()];
        let mut expected = before.clone();
        let operands = Operands {
            x: &x,
            scale: &scale,
            bias: &bias,
            table: &table,
            rows: &row_ids,
        };
        reference(&self.kernel, &p, operands, &mut expected);
        let operands = vec![
            bytes(&x),
            bytes(&scale),
            bytes(&bias),
            bytes(&table),
            bytes(&row_ids),
            bytes(&before),
        ];
        let shape = format!("{}x{columns} flags {}", self.rows, self.flags);
        Call::new(&self.kernel, &shape, &p, operands, expected).tolerance(5e-6)
    }
}
