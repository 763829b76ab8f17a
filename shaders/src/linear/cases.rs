//! Shapes to test and to measure.

use super::{Epilogue, Linear, Operands, Params, Tile, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::{Activation, WeightType, flags};

/// A case: rows before and columns around those computed are there too, where `sliced`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: Linear,
    /// Rows, columns, features.
    pub shape: [u32; 3],
    /// [`flags`].
    pub flags: u32,
    /// The first row, column and row of the weight are not zero.
    pub sliced: bool,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    const GATE: u32 = flags::TABLE;
    let mut cases = Vec::new();
    let mut case = |weight: WeightType, round_f16, epilogue, [m, n, k]: [u32; 3], flags, sliced| {
        let shape = [m, n, weight.whole(k)];
        for tile in Tile::ALL {
            if tile == Tile::choose(shape[0], shape[1]) || (tile != Tile::FewRows && shape[0] < 200) {
                cases.push(Case {
                    kernel: Linear {
                        weight,
                        round_f16,
                        epilogue,
                        tile,
                    },
                    shape,
                    flags,
                    sliced,
                });
            }
        }
    };
    let plain = Epilogue::Activation(Activation::None);
    for weight in WeightType::all() {
        for round_f16 in [false, true] {
            case(weight, round_f16, plain, [70, 131, 37], flags::BIAS, true);
            case(
                weight,
                round_f16,
                Epilogue::Residual,
                [3, 5, 129],
                flags::BIAS | GATE | flags::ROWS,
                true,
            );
            case(weight, round_f16, Epilogue::GeluTanhTimes, [8, 66, 64], 0, false);
        }
    }
    for epilogue in Epilogue::ALL {
        case(WeightType::BF16, true, epilogue, [33, 29, 31], flags::BIAS, true);
        case(WeightType::F32, false, epilogue, [1, 1, 1], 0, false);
        case(WeightType::F16, false, epilogue, [5, 9, 300], flags::BIAS, false);
    }
    case(WeightType::F32, false, Epilogue::Residual, [129, 65, 17], GATE, false);
    case(
        WeightType::F32,
        false,
        Epilogue::Residual,
        [17, 12, 48],
        GATE | flags::ROWS | flags::BIAS,
        true,
    );
    case(WeightType::F32, false, plain, [256, 256, 256], flags::BIAS, false);
    case(WeightType::BF16, true, plain, [256, 256, 256], flags::BIAS, false);
    case(WeightType::BF16, true, plain, [2, 512, 1024], flags::BIAS, false);
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let [m, n, k] = self.shape;
        let (first_row, first_column, more, first_weight_row) = if self.sliced { (3, 5, 9, 2) } else { (0, 0, 0, 0) };
        let (rows, table_rows) = ((first_row + m) as usize, 3);
        let p = Params {
            m,
            n,
            k,
            first_row,
            first_weight_row,
            first_column,
            out_stride: first_column + n + more,
            flags: self.flags,
            gate_column: 2 + more,
            table_stride: first_column + n + more * 2 + 3,
            _pad: [0; 2],
        };
        let x = random.floats(rows * k as usize, 2.0);
        let scale = 1.0 / (k as f32).sqrt();
        let (weight, weight_bytes) = random.weights(self.kernel.weight, first_weight_row + n, k, scale);
        let bias = random.floats(p.out_stride as usize, 1.0);
        let residual = random.floats(rows * p.out_stride as usize, 3.0);
        let table = random.floats(table_rows * p.table_stride as usize, 1.0);
        let row_ids: Vec<_> = (0..rows).map(|_| random.below(table_rows as u32)).collect();
        let before = vec![UNTOUCHED; rows * p.out_stride as usize];
        let mut expected = before.clone();
        let operands = Operands {
            x: &x,
            weight: &weight,
            bias: &bias,
            residual: &residual,
            table: &table,
            rows: &row_ids,
        };
        reference(&self.kernel, &p, operands, &mut expected);
        let operands = vec![
            weight_bytes,
            bytes(&x),
            bytes(&bias),
            bytes(&residual),
            bytes(&table),
            bytes(&row_ids),
            bytes(&before),
        ];
        Call::new(
            &self.kernel,
            &format!("{m}x{n}x{k} flags {}", self.flags),
            &p,
            operands,
            expected,
        )
        .tolerance(2e-6)
        .flops(2.0 * f64::from(m) * f64::from(n) * f64::from(k))
    }
}
