//! Shapes to test and to measure.

use super::{Params, QuantizeHeads, reference, words};
use crate::Kernel;
use crate::call::{Call, Elements, Random, UNTOUCHED, bytes};

/// A case; the first row is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: QuantizeHeads,
    /// Rows computed.
    pub rows: u32,
    /// Heads.
    pub heads: u32,
    /// Elements of a head.
    pub head_dim: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kernel in QuantizeHeads::all() {
        for (rows, heads, head_dim) in [(3, 5, 64), (2, 4, 128), (9, 3, 48), (1, 1, 16), (40, 2, 112)] {
            cases.push(Case {
                kernel,
                rows,
                heads,
                head_dim,
            });
        }
    }
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let &Self {
            kernel,
            rows,
            heads,
            head_dim,
        } = self;
        let p = Params {
            rows,
            heads,
            head_dim,
            first_row: 1,
        };
        let (width, words) = (heads * head_dim, words(heads, head_dim));
        let mut random = Random::new(seed);
        // Scales are about 1: an error of a quantum is large next to the tolerance, and one of a scale as well.
        let x = random.floats(((rows + 1) * width) as usize, 127.0);
        let mean = random.floats(width as usize, 40.0);
        let before = vec![UNTOUCHED.to_bits(); ((rows + 2) * words) as usize];
        let mut expected = before.clone();
        reference(kernel, &p, &x, &mean, &mut expected);
        let elements = Elements::QuantizedRows {
            row: words as usize,
            scales: (words - width / 4) as usize,
        };
        let expected = elements.decode(&bytes(&expected));
        let operands = vec![bytes(&x), bytes(&mean), bytes(&before)];
        Call::new(&kernel, &format!("{rows}x{heads}x{head_dim}"), &p, operands, expected)
            .elements(elements)
            .tolerance(1e-6)
    }
}
