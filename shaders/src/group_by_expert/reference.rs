//! The plain version.

use super::Params;

/// What the kernel does.
pub fn reference(p: &Params, ids: &[u32], out: &mut [u32]) {
    let slots = p.slots as usize;
    let mut place = 0;
    for expert in 0..p.experts {
        let served = (p.first_expert..p.last_expert).contains(&expert);
        if served {
            out[2 * slots + expert as usize] = place;
        }
        for (slot, _) in ids.iter().enumerate().filter(|(_, id)| **id == expert) {
            if served {
                out[place as usize] = slot as u32;
                out[slots + slot] = place;
            }
            place += 1;
        }
    }
    if p.last_expert == p.experts {
        out[2 * slots + p.experts as usize] = p.slots;
    }
}

#[cfg(test)]
mod tests {
    use super::{Params, reference};

    #[test]
    fn a_grouping_by_hand() {
        let p = Params {
            slots: 4,
            experts: 3,
            first_expert: 0,
            last_expert: 3,
        };
        let mut out = [9; 12];
        reference(&p, &[2, 0, 2, 0], &mut out);
        assert_eq!(out, [1, 3, 0, 2, 2, 0, 3, 1, 0, 2, 2, 4]);
    }
}
