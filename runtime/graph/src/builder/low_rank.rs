//! Low-rank additions beside a weight that stays as it is stored: what a LoRA does to a layer.
//!
//! Weights say that `X.weight` `[N, …]` has such an addition by having two more tensors, `X.weight.lora_down` `[R, …]`
//! (the other dimensions as those of the weight) and `X.weight.lora_up` `[N, R]`. The layer then computes with
//! `W + up · down`, as two thin products beside the large one.

use std::ops::Range;

use super::{Builder, Scope};
use crate::{Activation, Epilogue, Gate, Linear, Matrix, MatrixLayout, Result, Value};

/// Behind a weight's name: the factor `[R, …]` that the input meets first.
pub const LORA_DOWN: &str = ".lora_down";

/// Behind a weight's name: the factor `[N, R]`.
pub const LORA_UP: &str = ".lora_up";

/// An epilogue that does nothing.
pub(super) const PLAIN: Epilogue = Epilogue::Activation(Activation::None);

/// The second factor of an addition, and how many columns the first one makes for it.
pub(super) struct LowRank {
    /// Name of the first factor.
    pub(super) down: String,
    /// Rows of the first factor.
    pub(super) rank: usize,
    up: Matrix,
}

impl Builder<'_> {
    /// The addition beside `scope.weight`, whose `rows` of `n` are used.
    pub(super) fn low_rank(&self, scope: &Scope, n: usize, rows: Range<usize>) -> Result<Option<LowRank>> {
        let weight = scope.name("weight");
        let down = format!("{weight}{LORA_DOWN}");
        let Some(info) = self.weights.info(&down) else {
            return Ok(None);
        };
        let rank = info.shape.first().copied().unwrap_or(0);
        let up = self.matrix(&format!("{weight}{LORA_UP}"), &[n, rank], rows, MatrixLayout::RowMajor)?;
        Ok(Some(LowRank { down, rank, up }))
    }

    /// A linear layer with its addition, which multiplies `x` itself, whatever scale the layer's own weight wants it to
    /// have. The addition must be there before anything that is not linear.
    pub(super) fn push_linear_with(
        &mut self,
        scope: &Scope,
        tensor: &str,
        x: Value,
        layer: Linear,
        low_rank: LowRank,
    ) -> Result<Value> {
        let (precise, epilogue) = (layer.precise, layer.epilogue);
        let (linear, gate) = match epilogue {
            Epilogue::Residual { gate, .. } => (epilogue, gate),
            Epilogue::Activation(_) | Epilogue::GeluTanhTimes(_) => (PLAIN, None),
        };
        let y = self.push_linear(
            scope,
            tensor,
            Linear {
                epilogue: linear,
                weight_only: true,
                ..layer
            },
        )?;
        let k = self.graph.node(x).columns();
        let down = Linear {
            x,
            weight: self.matrix(
                &low_rank.down,
                &[low_rank.rank, k],
                0..low_rank.rank,
                MatrixLayout::RowMajor,
            )?,
            bias: None,
            epilogue: PLAIN,
            precise,
            weight_only: true,
        };
        let thin = self.push_linear(scope, &format!("{tensor}{LORA_DOWN}"), down)?;
        let y = self.push_up(scope, tensor, thin, y, gate, precise, low_rank)?;
        Ok(match epilogue {
            PLAIN | Epilogue::Residual { .. } => y,
            Epilogue::Activation(activation) => self.activation(activation, y),
            Epilogue::GeluTanhTimes(other) => {
                let y = self.activation(Activation::GeluTanh, y);
                self.mul(y, other)?
            }
        })
    }

    /// `y + gate · (thin · upᵀ)`
    #[expect(clippy::too_many_arguments, reason = "a product and its epilogue have these parts")]
    pub(super) fn push_up(
        &mut self,
        scope: &Scope,
        tensor: &str,
        thin: Value,
        y: Value,
        gate: Option<Gate>,
        precise: bool,
        low_rank: LowRank,
    ) -> Result<Value> {
        let up = Linear {
            x: thin,
            weight: low_rank.up,
            bias: None,
            epilogue: Epilogue::Residual { residual: y, gate },
            precise,
            weight_only: true,
        };
        self.push_linear(scope, &format!("{tensor}{LORA_UP}"), up)
    }
}
