//! Arithmetic in registers and nothing else: the most that a unit of a device can do.
//!
//! Sixteen numbers per invocation go through `x ← x · factor + term` again and again, or four sums of a subgroup through
//! `C ← A · B + C`.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::text::Text;
use crate::{Binding, Factors, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::reference;

/// A variant: the unit that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peak {
    /// `fma` of f32.
    F32,
    /// `fma` of f16, by fours: two in a register where the device packs them.
    F16,
    /// `dot4I8Packed` and a sum: four products of bytes.
    Dot4,
    /// Cooperative matrices of [`Peak::MATRICES`]: factors of f16, sums of f32.
    Matrices(Factors),
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Rounds of [`STEPS`] steps.
    pub rounds: u32,
    /// Workgroups.
    pub groups: u32,
    /// What is multiplied with; its bits are four bytes for [`Peak::Dot4`].
    pub factor: f32,
    /// What is added; nothing to matrices.
    pub term: f32,
}

/// out has one number per invocation.
pub const BINDINGS: &[Binding] = &[PARAMS, arena("out")];

/// Steps of a round.
pub const STEPS: u32 = 16;

/// Numbers of an invocation.
const NUMBERS: u32 = 16;

/// Invocations of a workgroup.
pub const INVOCATIONS: u32 = 256;

/// Subgroups of a workgroup whose work is done, whatever their number is: there are as many where they have eight
/// invocations.
const SUBGROUPS: u32 = INVOCATIONS / 8;

/// Sums of a subgroup: products of two matrices with two.
const SUMS: u32 = 4;

impl Peak {
    /// All shapes of matrices.
    pub const MATRICES: [Factors; 3] = [Factors::Matrix8, Factors::Matrix16, Factors::Matrix8x16x16];

    /// Parameters that keep the numbers within bounds.
    pub fn params(self, groups: u32, rounds: u32) -> Params {
        let (factor, term) = match self {
            Self::F32 | Self::F16 => (-0.75, 1.25),
            Self::Dot4 => (f32::from_bits(0x5b9d_37e3), 0.0),
            Self::Matrices(_) => (1.0, 0.0),
        };
        Params {
            rounds,
            groups,
            factor,
            term,
        }
    }

    /// What it multiplies, bytes aside.
    fn factors(self) -> Factors {
        match self {
            Self::F32 | Self::Dot4 => Factors::F32,
            Self::F16 => Factors::F16,
            Self::Matrices(factors) => factors,
        }
    }

    /// Multiplications and additions of a dispatch.
    pub fn operations(self, params: &Params) -> f64 {
        let step = match (self, self.factors().matrix()) {
            (_, Some(shape)) => SUBGROUPS * SUMS * 2 * shape.iter().product::<u32>(),
            (Self::Dot4, None) => INVOCATIONS * NUMBERS * 8,
            (_, None) => INVOCATIONS * NUMBERS * 2,
        };
        f64::from(params.groups) * f64::from(params.rounds) * f64::from(STEPS * step)
    }
}

impl Kernel for Peak {
    type Params = Params;

    fn all() -> Vec<Self> {
        let matrices = Self::MATRICES.map(Self::Matrices);
        [Self::F32, Self::F16, Self::Dot4].into_iter().chain(matrices).collect()
    }

    fn shader(&self) -> Shader {
        let text = match self.factors().matrix() {
            None => Text::new(include_str!("kernel.wgsl")).snippet("body", include_str!("numbers.wgsl")),
            Some(shape) => Text::new(include_str!("kernel.wgsl"))
                .snippet("body", include_str!("matrix.wgsl"))
                .constant("SUBGROUPS", SUBGROUPS)
                .matrices(shape),
        };
        let (name, unit) = match self {
            Self::F32 => (".f32", include_str!("f32.wgsl")),
            Self::F16 => (".f16", include_str!("f16.wgsl")),
            Self::Dot4 => (".dot4", include_str!("dot4.wgsl")),
            Self::Matrices(factors) => (factors.suffix(), ""),
        };
        let text = text
            .constant("INVOCATIONS", INVOCATIONS)
            .constant("STEPS", STEPS)
            .snippet("unit", unit)
            .with(self.factors().needs());
        Shader {
            name: format!("peak{name}"),
            needs: text.needs(),
            source: text.finish(),
            bindings: BINDINGS,
            workgroup_size: [INVOCATIONS, 1, 1],
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid(params.groups)
    }
}
