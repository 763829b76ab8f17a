//! Shapes to test and to measure.

use super::{Params, QuantizeRows, reference, words};
use crate::Kernel;
use crate::call::{Call, Elements, Random, UNTOUCHED, bytes};

/// A case; the first row is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Variant.
    pub kernel: QuantizeRows,
    /// Rows computed.
    pub rows: u32,
    /// Elements of a row.
    pub k: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kernel in QuantizeRows::all() {
        for (rows, k) in [(3, 37u32), (2, 2000)] {
            let k = kernel.rotation().map_or(k, |r| k.next_multiple_of(r.group() as u32));
            cases.push(Case { kernel, rows, k });
        }
    }
    cases
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let &Self { kernel, rows, k } = self;
        let p = Params {
            rows,
            k,
            first_row: 1,
            _pad: 0,
        };
        // Scales are about 1: an error of a quantum is large next to the tolerance, and one of a scale as well.
        let x = random.floats(((rows + 1) * k) as usize, 127.0);
        let before = vec![UNTOUCHED.to_bits(); ((rows + 1) * kernel.out_words(k)) as usize];
        let mut expected = before.clone();
        reference(kernel, &p, &x, &mut expected);
        let elements = match kernel {
            QuantizeRows::Int8(_) => Elements::QuantizedRows {
                row: words(k) as usize,
                scales: 1,
            },
            QuantizeRows::Rotate(_) => Elements::F32,
        };
        let operands = vec![bytes(&x), bytes(&before)];
        let expected = elements.decode(&bytes(&expected));
        Call::new(&kernel, &format!("{rows}x{k}"), &p, operands, expected)
            .elements(elements)
            .tolerance(1e-6)
    }
}
