//! The plain version.

use kinora_quant::round_f16;

use super::{GroupedLinear, Params};
use crate::flags;

/// The operands, `weight` decoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands<'a> {
    /// `[tokens, K]` or `[slots, K]`
    pub x: &'a [f32],
    /// `[…, K]`: the bound experts.
    pub weight: &'a [f32],
    /// See [`crate::group_by_expert`].
    pub groups: &'a [u32],
    /// `[E · R]`, or empty.
    pub bias: &'a [f32],
}

/// What the kernel does for all tiles, with sums in f64.
pub fn reference(kernel: &GroupedLinear, p: &Params, o: Operands<'_>, out: &mut [f32]) {
    let (n, k) = (p.n as usize, p.k as usize);
    let operand = |v: f32| f64::from(if kernel.factors.rounded() { round_f16(v) } else { v });
    let starts = &o.groups[2 * p.slots as usize..];
    for expert in p.first_expert..p.last_expert {
        for place in starts[expert as usize] as usize..starts[expert as usize + 1] as usize {
            let row = if kernel.from_tokens {
                (o.groups[place] / p.per_row) as usize
            } else {
                place
            };
            for column in 0..n {
                let w = ((expert - p.first_expert) * p.expert_rows + p.first_row) as usize + column;
                let terms = o.x[row * k..][..k].iter().zip(&o.weight[w * k..]);
                let mut y: f64 = terms.map(|(a, b)| operand(*a) * operand(*b)).sum();
                if p.flags & flags::BIAS != 0 {
                    y += f64::from(o.bias[(expert * p.expert_rows + p.first_row) as usize + column]);
                }
                out[place * n + column] = kernel.activation.apply(y) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GroupedLinear, Operands, Params, reference};
    use crate::{Activation, WeightType, flags};

    #[test]
    fn each_row_meets_its_expert() {
        let kernel = GroupedLinear {
            weight: WeightType::F32,
            factors: crate::Factors::F32,
            from_tokens: true,
            activation: Activation::None,
        };
        let p = Params {
            n: 1,
            k: 1,
            tiles: 2,
            slots: 4,
            experts: 2,
            last_expert: 2,
            expert_rows: 2,
            first_row: 1,
            per_row: 2,
            flags: flags::BIAS,
            ..Params::default()
        };
        // Token 0 chose experts 1 and 0, token 1 expert 1 twice.
        let o = Operands {
            x: &[3.0, 5.0],
            weight: &[9.0, 10.0, 9.0, 100.0],
            groups: &[1, 0, 2, 3, 1, 0, 2, 3, 0, 1, 4],
            bias: &[9.0, 0.5, 9.0, 0.25],
        };
        let mut out = [0.0; 4];
        reference(&kernel, &p, o, &mut out);
        assert_eq!(out, [30.5, 300.25, 500.25, 500.25]);
    }
}
