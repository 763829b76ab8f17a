//! The plain version.

use super::Params;

/// What the kernel does, in f32 as well: each step has one result, whoever computes it.
pub fn reference(p: &Params, x: &[f32], out: &mut [f32]) {
    let width = p.width as usize;
    let rows = &x[p.first_row as usize * width..][..p.rows as usize * width];
    let out = &mut out[p.out_row as usize * width..];
    for (block, out) in rows.chunks(p.block as usize * width).zip(out.chunks_mut(width)) {
        for (column, out) in out.iter_mut().enumerate() {
            let mut sum = 0.0;
            for row in block.chunks(width) {
                sum += row[column];
            }
            *out = sum * p.factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use kinora_quant::int8::{MEAN_BLOCK, column_means};

    use super::{Params, reference};
    use crate::call::Random;

    #[test]
    fn two_runs_are_the_means_of_columns_to_the_bit() {
        let (rows, width) = (3 * MEAN_BLOCK + 5, 8);
        let x = Random::new(1).floats(rows * width, 3.0);
        let (mut sums, mut means) = (vec![0.0; 4 * width], vec![0.0; width]);
        let p = Params {
            rows: rows as u32,
            width: width as u32,
            block: MEAN_BLOCK as u32,
            factor: 1.0,
            ..Params::default()
        };
        reference(&p, &x, &mut sums);
        let p = Params {
            rows: 4,
            block: 4,
            factor: 1.0 / rows as f32,
            ..p
        };
        reference(&p, &sums, &mut means);
        assert_eq!(means, column_means(&x, width));
    }
}
