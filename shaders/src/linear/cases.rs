//! Shapes to test and to measure.

use super::{Arithmetic, Epilogue, Linear, Operands, Params, Tile, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};
use crate::quantize_rows::{self, QuantizeRows, words};
use crate::{Activation, Factors, WeightType, flags};

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
    const EVERYTHING: u32 = flags::BIAS | GATE | flags::ROWS;
    let plain = Epilogue::Activation(Activation::None);
    let float = |weight, factors| Arithmetic::Float { weight, factors };
    let f32 = float(WeightType::F32, Factors::F32);
    let bf16 = float(WeightType::BF16, Factors::PackedF16);
    let mut cases = Vec::new();
    let mut case = |arithmetic, epilogue, shape: [u32; 3], flags, sliced, tiles: &[Tile]| {
        cases.extend(tiles.iter().map(|tile| Case {
            kernel: Linear {
                arithmetic,
                epilogue,
                tile: *tile,
            },
            shape,
            flags,
            sliced,
        }));
    };
    let (tiled, square, few) = (&Tile::MANY[..], &[Tile::Square][..], &[Tile::FewRows][..]);
    let lanes = &[Tile::Lanes, Tile::FewLanes][..];
    // Every type through each of the ways to load it, with more than one block; where blocks allow, a K that is no
    // multiple of anything.
    for weight in WeightType::all() {
        let whole = |k: u32| weight.whole(k.max(weight.whole(1) + 1));
        case(
            float(weight, Factors::F32),
            plain,
            [70, 131, whole(37)],
            flags::BIAS,
            true,
            square,
        );
        case(
            float(weight, Factors::F32),
            Epilogue::Residual,
            [3, 5, whole(259)],
            EVERYTHING,
            true,
            few,
        );
    }
    // Rounding does not depend on the type, but on the way to load it.
    for weight in [WeightType::F16, WeightType::BF16]
        .into_iter()
        .chain(WeightType::all().last())
    {
        let k = weight.whole(37);
        for factors in Factors::ALL {
            let arithmetic = float(weight, factors);
            case(arithmetic, plain, [70, 131, k], flags::BIAS, true, tiled);
            case(arithmetic, Epilogue::Residual, [7, 5, k], EVERYTHING, true, square);
            if factors == factors.in_registers() {
                case(arithmetic, Epilogue::Residual, [7, 5, k], EVERYTHING, true, few);
            }
        }
    }
    for epilogue in Epilogue::ALL.into_iter().filter(|e| *e != Epilogue::Apart) {
        case(bf16, epilogue, [33, 29, 31], flags::BIAS, true, square);
        case(f32, epilogue, [1, 1, 1], 0, false, &[Tile::Square, Tile::FewRows]);
        case(
            float(WeightType::F16, Factors::F32),
            epilogue,
            [5, 9, 300],
            flags::BIAS,
            false,
            few,
        );
        case(Arithmetic::Int8, epilogue, [5, 9, 303], flags::BIAS, false, few);
        case(Arithmetic::Int8, epilogue, [33, 66, 62], EVERYTHING, true, square);
    }
    // Several layers: in their last tile, within it, and in one dispatch with others.
    for sliced in [false, true] {
        case(bf16, Epilogue::Apart, [70, 132, 37], flags::BIAS, sliced, tiled);
        case(
            Arithmetic::Int8,
            Epilogue::Apart,
            [33, 204, 62],
            flags::BIAS,
            sliced,
            square,
        );
        case(f32, Epilogue::Apart, [5, 24, 300], flags::BIAS, sliced, few);
    }
    case(f32, Epilogue::Apart, [33, 192, 64], 0, false, tiled);
    // Three parts of K, whatever they lie in.
    for weight in [WeightType::F16, WeightType::BF16]
        .into_iter()
        .chain(WeightType::all().last())
    {
        let shape = [41, 67, 3 * weight.whole(37)];
        case(float(weight, Factors::F32), Epilogue::Parts, shape, 0, true, tiled);
    }
    for factors in Factors::ALL {
        case(
            float(WeightType::F16, factors),
            Epilogue::Parts,
            [41, 67, 768],
            0,
            true,
            square,
        );
    }
    // Lanes take a K of fours.
    for weight in WeightType::all() {
        for factors in [Factors::F32, Factors::PackedF16] {
            let shape = [45, 71, weight.whole(weight.whole(1).max(8) + 4)];
            case(float(weight, factors), plain, shape, flags::BIAS, true, lanes);
        }
    }
    for epilogue in Epilogue::ALL {
        case(bf16, epilogue, [33, 29, 52], flags::BIAS, true, lanes);
        case(f32, epilogue, [1, 1, 4], 0, false, lanes);
    }
    case(f32, Epilogue::Residual, [70, 66, 96], EVERYTHING, true, lanes);
    case(bf16, Epilogue::Apart, [70, 132, 36], flags::BIAS, true, lanes);
    case(Arithmetic::Int8, plain, [140, 31, 37], flags::BIAS, true, &[Tile::Tall]);
    case(Arithmetic::Int8, plain, [8, 130, 1024], 0, false, tiled);
    case(Arithmetic::Int8, plain, [8, 130, 1024], 0, false, few);
    case(f32, Epilogue::Residual, [129, 65, 17], GATE, false, tiled);
    case(f32, Epilogue::Residual, [17, 12, 48], EVERYTHING, true, tiled);
    case(f32, plain, [256, 256, 256], flags::BIAS, false, &[Tile::Large]);
    case(bf16, plain, [256, 256, 256], flags::BIAS, false, square);
    case(bf16, plain, [2, 512, 1024], flags::BIAS, false, few);
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let [m, n, k] = self.shape;
        let (first_row, first_column, more, first_weight_row) = if self.sliced { (3, 5, 9, 2) } else { (0, 0, 0, 0) };
        let (rows, table_rows) = ((first_row + m) as usize, 3);
        let columns = first_column + n + more;
        // Three layers; a gap between the parts.
        let (first_column, part, gap) = match self.kernel.epilogue {
            Epilogue::Apart => (first_column / 4 * 4, columns.div_ceil(12) * 4, 8),
            _ => (first_column, columns, 0),
        };
        let parts = columns.div_ceil(part);
        let split = self.kernel.epilogue == Epilogue::Parts;
        let out_elements = match split {
            true => 3 * m * n,
            false => parts * (rows as u32 * part + gap),
        };
        let p = Params {
            m,
            n,
            k,
            first_row,
            first_weight_row,
            first_column,
            out_stride: part,
            flags: self.flags,
            gate_column: 2 + more,
            table_stride: first_column + n + more * 2 + 3,
            part_stride: rows as u32 * part + gap,
            bias_stride: part + gap,
            part_k: if split { k / 3 } else { 0 },
            ..Default::default()
        };
        let matrices = Matrices::new(
            self.kernel.arithmetic,
            &mut random,
            rows as u32,
            first_weight_row + n,
            k,
        );
        let bias = random.floats((parts * p.bias_stride) as usize, 1.0);
        let residual = random.floats(out_elements as usize, 3.0);
        let table = random.floats(table_rows * p.table_stride as usize, 1.0);
        let row_ids: Vec<_> = (0..rows).map(|_| random.below(table_rows as u32)).collect();
        let before = vec![UNTOUCHED; out_elements as usize];
        let mut expected = before.clone();
        let operands = Operands {
            x: &matrices.x,
            x_scales: &matrices.x_scales,
            weight: &matrices.weight,
            weight_scales: &matrices.weight_scales,
            bias: &bias,
            residual: &residual,
            table: &table,
            rows: &row_ids,
        };
        reference(&self.kernel, &p, operands, &mut expected);
        let operands = vec![
            matrices.weight_bytes,
            matrices.x_bytes,
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

/// A product of small integers, which any order of summation gives exactly, with its edges in the middle of matrices:
/// does a device multiply by `factors` at all, divided like that?
pub fn exact(factors: Factors, tile: Tile) -> Call {
    let case = Case {
        kernel: Linear {
            arithmetic: Arithmetic::Float {
                weight: WeightType::F32,
                factors,
            },
            epilogue: Epilogue::Activation(Activation::None),
            tile,
        },
        shape: [75, 70, 44],
        flags: 0,
        sliced: false,
    };
    let mut call = case.call(1);
    let [m, n, k] = case.shape.map(|v| v as usize);
    let mut random = Random::new(2);
    let mut integers = |count| (0..count).map(|_| random.below(17) as f32 - 8.0).collect::<Vec<_>>();
    let (weight, x) = (integers(n * k), integers(m * k));
    let products = |i: usize| {
        let (row, column) = (&x[i / n * k..][..k], &weight[i % n * k..][..k]);
        row.iter().zip(column).map(|(a, b)| a * b).sum()
    };
    call.expected = (0..m * n).map(products).collect();
    call.operands[0] = bytes(&weight);
    call.operands[1] = bytes(&x);
    call.tolerance(0.0)
}

/// The two matrices, as numbers and as the kernel has them.
struct Matrices {
    x: Vec<f32>,
    x_scales: Vec<f32>,
    x_bytes: Vec<u8>,
    weight: Vec<f32>,
    weight_scales: Vec<f32>,
    weight_bytes: Vec<u8>,
}

impl Matrices {
    fn new(arithmetic: Arithmetic, random: &mut Random, rows: u32, columns: u32, k: u32) -> Self {
        let x = random.floats((rows * k) as usize, 2.0);
        match arithmetic {
            Arithmetic::Float { weight, .. } => {
                let (weight, weight_bytes) = random.weights(weight, columns, k, 1.0 / (k as f32).sqrt());
                Self {
                    x_bytes: bytes(&x),
                    x,
                    x_scales: Vec::new(),
                    weight,
                    weight_scales: Vec::new(),
                    weight_bytes,
                }
            }
            Arithmetic::Int8 => {
                let p = quantize_rows::Params {
                    rows,
                    k,
                    ..Default::default()
                };
                let mut quantized = vec![0; (rows * words(k)) as usize];
                quantize_rows::reference(QuantizeRows::Int8(None), &p, &x, &mut quantized);
                let (mut x, mut x_scales) = (Vec::new(), Vec::new());
                for row in quantized.chunks_exact(words(k) as usize) {
                    let bytes = row.iter().flat_map(|word| word.to_le_bytes());
                    x.extend(bytes.take(k as usize).map(|b| f32::from(b as i8)));
                    x_scales.push(f32::from_bits(row[row.len() - 1]));
                }
                let (mut weight, mut weight_scales, mut weight_bytes) = (Vec::new(), Vec::new(), Vec::new());
                for _ in 0..columns {
                    let row: Vec<u8> = (0..k).map(|_| random.below(256) as u8).collect();
                    let scale = (1.5 + random.unit()) / 256.0;
                    weight.extend(row.iter().map(|b| f32::from(*b as i8)));
                    weight_scales.push(scale);
                    weight_bytes.extend(row);
                    weight_bytes.extend(scale.to_le_bytes());
                    weight_bytes.resize(weight_bytes.len().next_multiple_of(4), 0);
                }
                Self {
                    x,
                    x_scales,
                    x_bytes: bytes(&quantized),
                    weight,
                    weight_scales,
                    weight_bytes,
                }
            }
        }
    }
}
