//! Shapes to test and to measure.

use super::{Params, Rearrange, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};

/// A case; the output starts at element 3.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// As in `kinora_graph::Rearrange`.
    pub sizes: Vec<usize>,
    /// As in `kinora_graph::Rearrange`.
    pub strides: Vec<usize>,
    /// As in `kinora_graph::Rearrange`.
    pub offset: usize,
    /// As in `kinora_graph::Rearrange`.
    pub reduce: usize,
    /// Only some of the elements.
    pub sliced: bool,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let case = |sizes: &[usize], strides: &[usize], offset, reduce, sliced| Case {
        sizes: sizes.to_vec(),
        strides: strides.to_vec(),
        offset,
        reduce,
        sliced,
    };
    vec![
        case(&[], &[], 4, 0, false),
        case(&[1000], &[1], 3, 0, true),
        case(&[7, 5, 3], &[1, 21, 7], 0, 0, false),
        // Nearest upsampling.
        case(&[2, 3, 2, 5, 2, 4], &[60, 20, 0, 4, 0, 1], 0, 0, true),
        // Eight axes, three of them averaged.
        case(&[2, 3, 2, 1, 3, 2, 2, 3], &[360, 1, 180, 7, 3, 90, 45, 9], 2, 3, false),
        case(&[5, 6], &[6, 1], 0, 1, false),
        case(&[6], &[1], 0, 1, false),
        case(&[64, 32, 48], &[1, 64 * 48, 64], 0, 0, false),
    ]
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut p = Params::new(&self.sizes, &self.strides, self.offset, self.reduce);
        p.out_offset = 3;
        let all = p.count;
        if self.sliced {
            p.first = all / 4;
            p.count = all / 2;
        }
        let extent = self.offset
            + 1
            + self
                .sizes
                .iter()
                .zip(&self.strides)
                .map(|(n, s)| (n - 1) * s)
                .sum::<usize>();
        let x = Random::new(seed).floats(extent, 1.0);
        let before = vec![UNTOUCHED; (all + 5) as usize];
        let mut expected = before.clone();
        reference(&p, &x, &mut expected);
        let tolerance = if self.reduce == 0 { 0.0 } else { 5e-7 };
        Call::new(
            &Rearrange,
            &format!("{:?}", self.sizes),
            &p,
            vec![bytes(&x), bytes(&before)],
            expected,
        )
        .tolerance(tolerance)
    }
}
