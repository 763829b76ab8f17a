//! Floats of eight bits and fewer.

/// Which float. Codes are of magnitudes, in the order of these.
#[derive(Clone, Copy)]
pub(super) struct Minifloat {
    /// Bits of the mantissa.
    mantissa: u32,
    /// Bias of the exponent.
    bias: u32,
    /// The bit of the sign.
    sign: u8,
    /// The code of the largest finite number.
    top: u8,
    /// What larger numbers become: infinity where it is neither `top` nor `nan`.
    overflow: u8,
    /// The code of NaN.
    nan: u8,
}

/// Eight bits, no infinity: larger numbers become the largest, as PyTorch has it.
pub(super) const E4M3: Minifloat = Minifloat {
    mantissa: 3,
    bias: 7,
    sign: 128,
    top: 0x7e,
    overflow: 0x7e,
    nan: 0x7f,
};

/// Eight bits with infinity.
pub(super) const E5M2: Minifloat = Minifloat {
    mantissa: 2,
    bias: 15,
    sign: 128,
    top: 0x7b,
    overflow: 0x7c,
    nan: 0x7f,
};

/// Four bits, finite only: NaN is stored as the largest number.
pub(super) const E2M1: Minifloat = Minifloat {
    mantissa: 1,
    bias: 1,
    sign: 8,
    top: 7,
    overflow: 7,
    nan: 7,
};

/// The largest finite numbers.
pub(super) const E4M3_MAX: f32 = 448.0;
pub(super) const E5M2_MAX: f32 = 57344.0;
pub(super) const E2M1_MAX: f32 = 6.0;

/// The values of all codes.
pub(super) static E4M3_VALUES: [f32; 256] = E4M3.values();
pub(super) static E5M2_VALUES: [f32; 256] = E5M2.values();
pub(super) static E2M1_VALUES: [f32; 16] = E2M1.values();

impl Minifloat {
    /// 2^`exponent`, which must be that of a normal f32.
    const fn power(exponent: i32) -> f32 {
        f32::from_bits(((127 + exponent) as u32) << 23)
    }

    /// The value of a code.
    const fn magnitude(self, code: u8) -> f32 {
        if code > self.top {
            return if code == self.overflow && code != self.nan {
                f32::INFINITY
            } else {
                f32::NAN
            };
        }
        let code = code as u32;
        if code >> self.mantissa == 0 {
            return code as f32 * Self::power(1 - self.bias as i32 - self.mantissa as i32);
        }
        f32::from_bits((code + ((127 - self.bias) << self.mantissa)) << (23 - self.mantissa))
    }

    /// The values of all codes, those with the sign after those without.
    const fn values<const N: usize>(self) -> [f32; N] {
        let mut values = [0.0; N];
        let mut code = 0;
        while code < self.sign {
            let value = self.magnitude(code);
            values[code as usize] = value;
            values[(code | self.sign) as usize] = -value;
            code += 1;
        }
        values
    }

    /// The code nearest to `value`, ties to the even one, and its sign.
    pub(super) fn encode(self, value: f32) -> u8 {
        let magnitude = value.abs();
        let code = if magnitude.is_nan() {
            u32::from(self.nan)
        } else if magnitude < Self::power(1 - self.bias as i32) {
            // Adding a number whose last bit is the smallest step rounds to that.
            let step = Self::power(24 - self.bias as i32 - self.mantissa as i32);
            (magnitude + step).to_bits() - step.to_bits()
        } else {
            let (bits, dropped) = (magnitude.to_bits(), 23 - self.mantissa);
            let even = (bits >> dropped) & 1;
            let rounded = (bits + (1 << (dropped - 1)) - 1 + even) >> dropped;
            (rounded - ((127 - self.bias) << self.mantissa)).min(u32::from(self.overflow))
        };
        code as u8 | if value.is_sign_negative() { self.sign } else { 0 }
    }
}
