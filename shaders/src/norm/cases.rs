//! Shapes to test and to measure.

use super::{Norm, Operands, Params, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::{Activation, Kernel, flags};

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
    let modulated = flags::TABLE | flags::ROWS;
    for kernel in Norm::all() {
        let mut push = |rows, columns, flags, mean| {
            cases.push(Case {
                kernel,
                rows,
                columns,
                flags,
                mean,
            });
        };
        if kernel.by_fours {
            push(5, 36, modulated, 0.0);
            push(33, 132, flags::WEIGHT | flags::BIAS, 5.0);
            push(1, 4, flags::WEIGHT, 1.0);
        } else {
            push(5, 37, modulated, 0.0);
            push(33, 131, flags::WEIGHT | flags::BIAS, 5.0);
            push(1, 1, flags::WEIGHT, 1.0);
        }
        if kernel.activation == Activation::None {
            // More than the registers of few invocations hold.
            push(7, 1536, flags::WEIGHT | flags::BIAS | flags::TABLE, 30.0);
        }
    }
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let (first_row, table_rows, columns) = (2, 3, self.columns);
        let unit = if self.kernel.by_fours { 4 } else { 1 };
        let p = Params {
            rows: self.rows,
            columns,
            first_row,
            flags: self.flags,
            shift_column: unit,
            scale_column: columns + 2 * unit,
            table_stride: 2 * columns + 5 * unit,
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
