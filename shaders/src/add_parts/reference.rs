//! The plain version.

use super::AddParts;
use crate::linear::{Operands, Params, finished};

/// What the kernel does, with sums in f64. Of the operands it takes those of the epilogue.
pub fn reference(kernel: AddParts, p: &Params, parts: &[f32], o: Operands<'_>, out: &mut [f32]) {
    let (m, n) = (p.m as usize, p.n as usize);
    for row in 0..m {
        for column in 0..n {
            let sums = parts.chunks_exact(m * n).map(|part| f64::from(part[row * n + column]));
            let at = [p.first_row as usize + row, p.first_column as usize + column];
            let (place, value) = finished(kernel.epilogue, p, o, at, sums.sum());
            out[place] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::reference;
    use crate::add_parts::AddParts;
    use crate::linear::{Epilogue, Operands, Params};

    #[test]
    fn three_parts_by_hand() {
        let p = Params {
            m: 2,
            n: 1,
            k: 6,
            part_k: 2,
            out_stride: 1,
            ..Params::default()
        };
        let o = Operands {
            residual: &[0.5, -1.0],
            ..Operands::default()
        };
        let mut out = [7.0; 2];
        let kernel = AddParts {
            epilogue: Epilogue::Residual,
        };
        reference(kernel, &p, &[1.0, 2.0, 10.0, 20.0, 100.0, 200.0], o, &mut out);
        assert_eq!(out, [111.5, 221.0]);
    }
}
