//! Pointwise functions, on the device (`shared/activation.wgsl`) and here.

/// A pointwise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// x
    #[default]
    None,
    /// x / (1 + exp(-x))
    Silu,
    /// 0.5 x (1 + tanh(sqrt(2/π) (x + 0.044715 x³)))
    GeluTanh,
    /// 0.5 x (1 + erf(x / sqrt 2))
    GeluErf,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Silu, Self::GeluTanh, Self::GeluErf];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Silu => "silu",
            Self::GeluTanh => "gelu_tanh",
            Self::GeluErf => "gelu_erf",
        }
    }

    /// `activate(x)` in WGSL.
    pub(crate) fn snippet(self) -> &'static str {
        match self {
            Self::None => "fn activate(x: vec4<f32>) -> vec4<f32> { return x; }",
            Self::Silu => "fn activate(x: vec4<f32>) -> vec4<f32> { return silu(x); }",
            Self::GeluTanh => "fn activate(x: vec4<f32>) -> vec4<f32> { return gelu_tanh(x); }",
            Self::GeluErf => "fn activate(x: vec4<f32>) -> vec4<f32> { return gelu_erf(x); }",
        }
    }

    /// The value at `x`.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Self::None => x,
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::GeluTanh => {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
            }
            Self::GeluErf => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
        }
    }
}

/// The error function: its Taylor series up to 3, its continued fraction beyond.
pub fn erf(x: f64) -> f64 {
    let z = x.abs();
    let value = if z < 3.0 {
        let mut term = z;
        let mut sum = z;
        for n in 1..100 {
            term *= -z * z / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let fraction = (1..60).rev().fold(z, |f, n| z + f64::from(n) / 2.0 / f);
        1.0 - (-z * z).exp() / (fraction * std::f64::consts::PI.sqrt())
    };
    value.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::{Activation, erf};

    #[test]
    fn erf_has_its_tabulated_values() {
        for (x, y) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_8),
            (1.0, 0.842_700_792_9),
            (2.0, 0.995_322_265_0),
            (3.5, 0.999_999_256_9),
        ] {
            assert!((erf(x) - y).abs() < 2e-10, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }

    #[test]
    fn activations_have_their_known_values() {
        for (a, x, y) in [
            (Activation::None, -3.5, -3.5),
            (Activation::Silu, 1.0, 0.731_058_578_6),
            (Activation::Silu, -800.0, 0.0),
            (Activation::GeluTanh, 1.0, 0.841_191_990_6),
            (Activation::GeluErf, 1.0, 0.841_344_746_1),
            (Activation::GeluErf, -2.0, -0.045_500_263_9),
        ] {
            assert!((a.apply(x) - y).abs() < 2e-10, "{a:?}({x}) = {}", a.apply(x));
        }
    }
}
