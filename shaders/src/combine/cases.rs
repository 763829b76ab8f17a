//! Shapes to test and to measure.

use super::{Combine, MAX_INPUTS, Params, reference};
use crate::call::{Call, Random, UNTOUCHED, bytes};

/// A case; the first element is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Elements.
    pub count: u32,
    /// Inputs.
    pub inputs: u32,
}

/// The cases.
pub fn cases() -> Vec<Case> {
    (1..=MAX_INPUTS as u32)
        .map(|inputs| Case {
            count: 200 * inputs + 1,
            inputs,
        })
        .collect()
}

impl Case {
    /// The case with operands drawn from `seed`.
    pub fn call(&self, seed: u64) -> Call {
        let mut random = Random::new(seed);
        let &Self { count, inputs } = self;
        let p = Params {
            count,
            first: 1,
            inputs,
            _pad: 0,
        };
        let coefficients = random.floats(inputs as usize, 5.0);
        let values: Vec<_> = (0..inputs).map(|_| random.floats(count as usize + 2, 2.0)).collect();
        let before = vec![UNTOUCHED; count as usize + 2];
        let mut expected = before.clone();
        let slices: Vec<_> = values.iter().map(Vec::as_slice).collect();
        reference(&p, &coefficients, &slices, &mut expected);
        let mut operands = vec![bytes(&coefficients)];
        operands.extend(values.iter().map(|v| bytes(v)));
        operands.resize(1 + MAX_INPUTS, Vec::new());
        operands.push(bytes(&before));
        Call::new(&Combine, &format!("{inputs} x {count}"), &p, operands, expected).tolerance(5e-7)
    }
}
