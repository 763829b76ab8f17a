//! Shapes to test and to measure.

use super::{AddParts, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::flags;
use crate::linear::{Epilogue, Operands, Params};

/// Elements of K in a part.
const PART: u32 = 256;

/// A case: rows before and columns around those computed are there too, where `sliced`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: AddParts,
    /// Parts, rows, columns.
    pub shape: [u32; 3],
    /// [`flags`].
    pub flags: u32,
    /// The first row and column are not zero.
    pub sliced: bool,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    const EVERYTHING: u32 = flags::BIAS | flags::TABLE | flags::ROWS;
    let mut cases = Vec::new();
    for epilogue in Epilogue::ALL {
        let gate = if epilogue == Epilogue::Residual {
            EVERYTHING
        } else {
            flags::BIAS
        };
        // Columns of several layers are multiples of four.
        let columns = |n: u32| if epilogue == Epilogue::Apart { n * 4 } else { n };
        for (shape, flags, sliced) in [
            ([3, 9, 33], gate, true),
            ([2, 1, 1], 0, false),
            ([8, 64, 70], gate, false),
        ] {
            cases.push(Case {
                kernel: AddParts { epilogue },
                shape: [shape[0], shape[1], columns(shape[2])],
                flags,
                sliced,
            });
        }
    }
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let [count, m, n] = self.shape;
        let (first_row, first_column, more) = if self.sliced { (3, 4, 8) } else { (0, 0, 0) };
        let (rows, columns, table_rows) = (first_row + m, first_column + n + more, 3);
        // Two layers; a gap between them.
        let (layer, gap) = match self.kernel.epilogue {
            Epilogue::Apart => (columns.div_ceil(8) * 4, 8),
            _ => (columns, 0),
        };
        let layers = columns.div_ceil(layer);
        let p = Params {
            m,
            n,
            k: count * PART,
            first_row,
            first_column,
            out_stride: layer,
            flags: self.flags,
            gate_column: 2,
            table_stride: columns + 5,
            part_stride: rows * layer + gap,
            bias_stride: layer + gap,
            part_k: PART,
            ..Default::default()
        };
        let parts = random.floats((count * m * n) as usize, 2.0);
        let bias = random.floats((layers * p.bias_stride) as usize, 1.0);
        let residual = random.floats((layers * p.part_stride) as usize, 3.0);
        let table = random.floats((table_rows * p.table_stride) as usize, 1.0);
        let row_ids: Vec<_> = (0..rows).map(|_| random.below(table_rows)).collect();
        let before = vec![UNTOUCHED; residual.len()];
        let mut expected = before.clone();
        let operands = Operands {
            bias: &bias,
            residual: &residual,
            table: &table,
            rows: &row_ids,
            ..Default::default()
        };
        reference(self.kernel, &p, &parts, operands, &mut expected);
        let operands = vec![
            bytes(&parts),
            bytes(&bias),
            bytes(&residual),
            bytes(&table),
            bytes(&row_ids),
            bytes(&before),
        ];
        let shape = format!("{count}x{m}x{n} flags {}", self.flags);
        Call::new(&self.kernel, &shape, &p, operands, expected).tolerance(2e-6)
    }
}
