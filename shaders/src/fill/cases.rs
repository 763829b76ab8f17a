//! Shapes to test and to measure.

use super::{Fill, Params, reference};
use crate::call::{Call, UNTOUCHED, bytes};

/// A case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Elements.
    pub count: u32,
    /// First element.
    pub first: u32,
}

/// The cases. The last one has a grid of two dimensions.
pub fn cases() -> Vec<Case> {
    [(1, 0), (300, 7), (32_768 * 256 + 300, 1)]
        .map(|(count, first)| Case { count, first })
        .to_vec()
}

impl Case {
    /// The case; there is nothing to draw.
    pub fn call(&self, _seed: u64) -> Call {
        let &Self { count, first } = self;
        let p = Params {
            count,
            first,
            value: 2.5,
            _pad: 0,
        };
        let before = vec![UNTOUCHED; (first + count + 3) as usize];
        let mut expected = before.clone();
        reference(&p, &mut expected);
        Call::new(
            &Fill,
            &format!("{count} from {first}"),
            &p,
            vec![bytes(&before)],
            expected,
        )
        .tolerance(0.0)
    }
}
