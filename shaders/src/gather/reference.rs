//! The plain version.

use super::Params;

/// What the kernel does; `table` decoded.
pub fn reference(p: &Params, table: &[f32], ids: &[u32], out: &mut [f32]) {
    let k = p.k as usize;
    for row in p.first_row as usize..(p.first_row + p.rows) as usize {
        if let Some(id) = ids[row].checked_sub(p.first_id).filter(|id| *id < p.ids) {
            let from = (p.first_weight_row + id) as usize * k;
            out[row * k..][..k].copy_from_slice(&table[from..][..k]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Params, reference};

    #[test]
    fn ids_of_other_parts_are_left_alone() {
        let mut out = [0.0; 3];
        let p = Params {
            rows: 3,
            k: 1,
            first_id: 5,
            ids: 2,
            first_weight_row: 1,
            ..Params::default()
        };
        reference(&p, &[9.0, 1.0, 2.0, 9.0], &[6, 4, 7], &mut out);
        assert_eq!(out, [2.0, 0.0, 0.0]);
    }
}
