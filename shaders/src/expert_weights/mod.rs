//! Weights of the experts that a router chose, from its logits.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::reference;

/// How logits become scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scoring {
    /// Softmax over all.
    Softmax,
    /// Softmax over the chosen ones.
    SoftmaxOfChosen,
    /// 1 / (1 + exp(-x))
    Sigmoid,
}

impl Scoring {
    const ALL: [Self; 3] = [Self::Softmax, Self::SoftmaxOfChosen, Self::Sigmoid];

    fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::SoftmaxOfChosen => "softmax_of_chosen",
            Self::Sigmoid => "sigmoid",
        }
    }
}

/// A variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExpertWeights {
    /// See [`Scoring`].
    pub scoring: Scoring,
    /// Scores are divided by their sum.
    pub normalize: bool,
}

/// Uniform parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Rows to compute.
    pub rows: u32,
    /// Logits of a row.
    pub columns: u32,
    /// Ids of a row.
    pub k: u32,
    /// First row, of logits, ids and out alike.
    pub first_row: u32,
    /// Factor of the result.
    pub scale: f32,
    /// Nothing.
    pub _pad: [u32; 3],
}

/// `ids` holds u32.
pub const BINDINGS: &[Binding] = &[PARAMS, arena("logits"), arena("ids"), arena("out")];

impl Kernel for ExpertWeights {
    type Params = Params;

    fn all() -> Vec<Self> {
        let variant = |scoring| [false, true].map(|normalize| Self { scoring, normalize });
        Scoring::ALL.into_iter().flat_map(variant).collect()
    }

    fn shader(&self) -> Shader {
        let normalized = if self.normalize { ".normalized" } else { "" };
        Shader {
            name: format!("expert_weights.{}{normalized}", self.scoring.name()),
            source: Text::new(include_str!("kernel.wgsl"))
                .constant("SOFTMAX", self.scoring == Scoring::Softmax)
                .constant("SOFTMAX_OF_CHOSEN", self.scoring == Scoring::SoftmaxOfChosen)
                .constant("NORMALIZE", self.normalize)
                .finish(),
            bindings: BINDINGS,
            workgroup_size: [64, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid(params.rows.div_ceil(64))
    }
}
