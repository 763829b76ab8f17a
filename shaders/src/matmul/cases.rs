//! Shapes to test and to measure.

use super::{Matmul, Operands, Params, reference};
use crate::Kernel;
use crate::call::{Call, Random, UNTOUCHED, bytes};

/// A case; strides and offsets are odd where `sliced`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: Matmul,
    /// Rows, columns, length.
    pub shape: [u32; 3],
    /// Offsets are not zero and strides have gaps.
    pub sliced: bool,
    /// Sums go on from what is there.
    pub accumulate: bool,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kernel in Matmul::all() {
        for (shape, sliced, accumulate) in [
            ([1, 1, 1], false, false),
            ([7, 65, 33], true, false),
            ([67, 30, 384], false, false),
            ([64, 64, 64], true, false),
            ([70, 67, 21], true, true),
        ] {
            cases.push(Case {
                kernel,
                shape,
                sliced,
                accumulate,
            });
        }
    }
    for transposed in [true, false] {
        let kernel = Matmul {
            transposed,
            round_a: false,
            round_b: false,
        };
        cases.push(Case {
            kernel,
            shape: [256, 256, 256],
            sliced: false,
            accumulate: false,
        });
    }
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let [m, n, k] = self.shape;
        let (offset, gap) = if self.sliced { (11, 3) } else { (0, 0) };
        let (b_rows, b_columns) = if self.kernel.transposed { (n, k) } else { (k, n) };
        let p = Params {
            m,
            n,
            k,
            alpha: 0.375,
            a_offset: offset,
            a_stride: k + gap,
            b_offset: offset + 2,
            b_stride: b_columns + gap,
            out_offset: offset + 4,
            out_stride: n + gap,
            accumulate: u32::from(self.accumulate),
            _pad: 0,
        };
        let a = random.floats((p.a_offset + m * p.a_stride) as usize, 2.0);
        let b = random.floats((p.b_offset + b_rows * p.b_stride) as usize, 2.0);
        let before = match self.accumulate {
            true => random.floats((p.out_offset + m * p.out_stride) as usize, 9.0),
            false => vec![UNTOUCHED; (p.out_offset + m * p.out_stride) as usize],
        };
        let mut expected = before.clone();
        reference(&self.kernel, &p, Operands { a: &a, b: &b }, &mut expected);
        Call::new(
            &self.kernel,
            &format!("{m}x{n}x{k}"),
            &p,
            vec![bytes(&a), bytes(&b), bytes(&before)],
            expected,
        )
        .tolerance(2e-6)
        .flops(2.0 * f64::from(m) * f64::from(n) * f64::from(k))
    }
}
