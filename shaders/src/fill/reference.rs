//! The plain version.

use super::Params;

/// What the kernel does.
pub fn reference(p: &Params, out: &mut [f32]) {
    out[p.first as usize..(p.first + p.count) as usize].fill(p.value);
}

#[cfg(test)]
mod tests {
    use super::{Params, reference};

    #[test]
    fn fills_its_range() {
        let mut out = [0.0; 4];
        reference(
            &Params {
                count: 2,
                first: 1,
                value: 3.0,
                ..Params::default()
            },
            &mut out,
        );
        assert_eq!(out, [0.0, 3.0, 3.0, 0.0]);
    }
}
