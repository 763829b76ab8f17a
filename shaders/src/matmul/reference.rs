//! The plain version.

use kinora_quant::round_f16;

use super::{Matmul, Params};

/// The operands.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    /// A
    pub a: &'a [f32],
    /// B
    pub b: &'a [f32],
}

/// What the kernel does, with sums in f64.
pub fn reference(kernel: &Matmul, p: &Params, o: Operands<'_>, out: &mut [f32]) {
    let operand = |v: f32, round| f64::from(if round { round_f16(v) } else { v });
    for m in 0..p.m as usize {
        for n in 0..p.n as usize {
            let out = &mut out[p.out_offset as usize + m * p.out_stride as usize + n];
            let mut sum = if p.accumulate == 0 { 0.0 } else { f64::from(*out) };
            for k in 0..p.k as usize {
                let (row, column) = if kernel.transposed { (n, k) } else { (k, n) };
                let a = o.a[p.a_offset as usize + m * p.a_stride as usize + k];
                let b = o.b[p.b_offset as usize + row * p.b_stride as usize + column];
                sum += operand(a, kernel.round_a) * operand(b, kernel.round_b);
            }
            *out = (f64::from(p.alpha) * sum) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Operands, reference};
    use crate::matmul::{Matmul, Params};

    #[test]
    fn two_by_two_by_hand() {
        let p = Params {
            m: 2,
            n: 2,
            k: 2,
            alpha: 2.0,
            a_stride: 2,
            b_stride: 2,
            out_stride: 3,
            ..Params::default()
        };
        let o = Operands {
            a: &[1.0, 2.0, 3.0, 4.0],
            b: &[5.0, 6.0, 7.0, 8.0],
        };
        let mut out = [0.0; 5];
        let kernel = Matmul {
            transposed: false,
            round_a: false,
            round_b: false,
        };
        reference(&kernel, &p, o, &mut out);
        assert_eq!(out, [38.0, 44.0, 0.0, 86.0, 100.0]);
        reference(
            &Matmul {
                transposed: true,
                ..kernel
            },
            &p,
            o,
            &mut out,
        );
        assert_eq!(out, [34.0, 46.0, 0.0, 78.0, 106.0]);
        let more = Params { accumulate: 1, ..p };
        reference(&kernel, &more, o, &mut out);
        assert_eq!(out, [106.0, 136.0, 0.0, 242.0, 312.0]);
    }
}
