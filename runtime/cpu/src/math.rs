//! Pointwise functions on f32, written so that the compiler turns loops over them into vector instructions.

use kinora_graph::Activation;

use crate::vector::vectorised;

/// e^x to within 2 units in the last place; 0 below -87.3, infinite from 2^127.5 on.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.72;
    // Adding and subtracting 1.5 · 2^23 rounds to an integer on every instruction set.
    const MAGIC: f32 = 12_582_912.0;
    // ln 2 in two parts: products of the first with small integers are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Comparisons, unlike min and max, let NaN through.
    let clamped = if x < LOWEST { LOWEST } else { x };
    let clamped = if clamped > HIGHEST { HIGHEST } else { clamped };
    let shifted = clamped * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        p = p * r + c;
    }
    let y = (p * r) * r + r + 1.0;
    // The integer sits in the low bits of the shifted number; moved up, it is the exponent of 2^n.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    if x < LOWEST { 0.0 } else { y * power }
}

/// x / (1 + e^-x)
#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// 0.5 x (1 + tanh u), which is x / (1 + e^-2u).
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    let u = SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x);
    x / (1.0 + exp(-2.0 * u))
}

/// 0.5 x (1 + erf(x / √2)), which is 0.5 x erfc(-x / √2).
fn gelu_erf(x: f32) -> f32 {
    let x = f64::from(x);
    (0.5 * x * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)) as f32
}

/// The complementary error function to a relative 3e-9 up to x = 8: t · e^(P(t) - x²) with t = 2 / (2 + |x|), where P
/// is a Chebyshev fit on 0.2 ≤ t ≤ 1.
fn erfc(x: f64) -> f64 {
    const P: [f64; 11] = [
        -5.357597632329e-01,
        5.485680449709e-01,
        1.124425573217e-02,
        -2.616956728202e-02,
        -2.636097208775e-04,
        2.955569193872e-03,
        -3.320707640562e-04,
        -3.692057923266e-04,
        1.111812480211e-04,
        3.218960269436e-05,
        -1.702390258856e-05,
    ];
    let magnitude = x.abs();
    // Beyond 8 the result is below 1e-29 and its factor need not be right, only bounded.
    let t = 2.0 / (2.0 + magnitude.min(8.0));
    let s = (t - 0.6) / 0.4;
    let p = P.iter().rev().fold(0.0, |p, c| p * s + c);
    let y = t * (p - magnitude * magnitude).exp();
    if x < 0.0 { 2.0 - y } else { y }
}

vectorised! {
    /// Applies `activation` to every element.
    pub(crate) fn activate(activation: Activation, values: &mut [f32]) {
        match activation {
            Activation::None => {}
            Activation::Silu => values.iter_mut().for_each(|v| *v = silu(*v)),
            Activation::GeluTanh => values.iter_mut().for_each(|v| *v = gelu_tanh(*v)),
            Activation::GeluErf => values.iter_mut().for_each(|v| *v = gelu_erf(*v)),
        }
    }
}

vectorised! {
    /// `values[i] = gelu_tanh(values[i]) · factors[i]`
    pub(crate) fn gelu_tanh_times(values: &mut [f32], factors: &[f32]) {
        values.iter_mut().zip(factors).for_each(|(v, f)| *v = gelu_tanh(*v) * f);
    }
}

/// Lanes of a sum that the compiler turns into vectors.
const LANES: usize = 16;

vectorised! {
    /// The highest value; minus infinity where there is none.
    pub(crate) fn highest(values: &[f32]) -> f32 {
        let (chunks, rest) = values.as_chunks::<LANES>();
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for chunk in chunks {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane = if *v > *lane { *v } else { *lane };
            }
        }
        lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
    }
}

vectorised! {
    /// Replaces every value v by e^(v - base); returns their sum.
    pub(crate) fn exp_and_sum(values: &mut [f32], base: f32) -> f32 {
        let (chunks, rest) = values.as_chunks_mut::<LANES>();
        let mut lanes = [0.0; LANES];
        for chunk in chunks {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *v = exp(*v - base);
                *lane += *v;
            }
        }
        let mut sum = lanes.iter().sum();
        for v in rest {
            *v = exp(*v - base);
            sum += *v;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::{erfc, exp, gelu_erf, gelu_tanh, silu};

    #[test]
    fn exp_is_exact_to_two_ulps() {
        for i in -87_000..88_000 {
            let x = i as f32 * 1e-3 + 1.7e-4;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2.5e-7, "{x}: {error}");
        }
        assert_eq!((exp(f32::NEG_INFINITY), exp(-1e9), exp(0.0)), (0.0, 0.0, 1.0));
        assert_eq!((exp(f32::INFINITY), exp(100.0)), (f32::INFINITY, f32::INFINITY));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn erfc_matches_its_series() {
        for i in -300..=300 {
            let x = f64::from(i) * 0.01;
            // erf x = 2 / √π · e^-x² · Σ 2^n x^(2n + 1) / (1 · 3 · … · (2n + 1))
            let (mut term, mut sum) = (x, x);
            for n in 1..100 {
                term *= 2.0 * x * x / f64::from(2 * n + 1);
                sum += term;
            }
            let erf = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum;
            assert!((erfc(x) - (1.0 - erf)).abs() < 1e-8, "{x}");
        }
        assert_eq!(erfc(-9.0), 2.0);
    }

    #[test]
    fn activations_keep_their_limits() {
        for f in [silu, gelu_tanh, gelu_erf] {
            assert_eq!((f(0.0), f(100.0), f(-1000.0).abs()), (0.0, 100.0, 0.0));
            assert!(f(f32::NAN).is_nan());
        }
        assert!((gelu_tanh(1.0) - 0.841_192).abs() < 1e-6);
        assert!((gelu_erf(1.0) - 0.841_344_7).abs() < 1e-6);
        assert!((silu(1.0) - 0.731_058_6).abs() < 1e-6);
    }
}
