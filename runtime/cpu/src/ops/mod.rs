//! The operations, one file per family.

mod attention;
mod conv3d;
mod elementwise;
mod experts;
mod gather;
mod int8;
mod linear;
mod norm;
mod qk_norm_rope;
mod rearrange;
mod rows;

use std::borrow::Cow;

use kinora_graph::{Matrix, Node, Op, Precision, Result, Value};
use kinora_quant::{Weights, round_f16_slice};
use rayon::prelude::*;

use crate::frame::{Data, Frame};

/// What operations need besides values.
pub(crate) struct Machine<'a> {
    /// The program's weights.
    pub(crate) weights: &'a dyn Weights,
    /// Of matrix products.
    pub(crate) precision: Precision,
}

/// Elements of one task of an operation that does little work per element.
const TASK: usize = 16_384;

/// Runs one operation that is not a leaf.
pub(crate) fn compute<'a>(machine: &Machine<'_>, frame: &mut Frame<'a>, node: &Node) -> Result<Data<'a>> {
    let values = match &node.op {
        Op::Linear(op) => linear::run(machine, frame, op)?,
        Op::Norm(op) => norm::run(frame, op)?,
        Op::QkNormRope(op) => qk_norm_rope::run(frame, op)?,
        Op::Attention(op) => attention::run(machine, frame, op)?,
        Op::Conv3d(op) => conv3d::run(machine, frame, op, &node.shape)?,
        Op::Gather { ids, table } => gather::run(machine, frame, *ids, table, &node.label)?,
        Op::TopK { logits } => return Ok(Data::owned_u32(experts::top_k(frame, *logits, node.columns())?)),
        Op::GroupByExpert { ids, grouping } => {
            return Ok(Data::owned_u32(experts::group_by_expert(frame, *ids, *grouping)?));
        }
        Op::ExpertWeights(op) => experts::expert_weights(frame, op)?,
        Op::GroupedLinear(op) => experts::grouped_linear(machine, frame, op)?,
        Op::ScatterExperts {
            x,
            groups,
            grouping,
            weights,
        } => experts::scatter_experts(frame, *x, *groups, *grouping, *weights)?,
        Op::Rearrange { x, spec } => {
            if rearrange::is_identity(spec, frame.shape(*x)) {
                return Ok(frame.data(*x).clone());
            }
            rearrange::run(frame.f32(*x)?, spec)
        }
        Op::Concat { inputs } => elementwise::concat(frame, inputs)?,
        Op::Unary { op, x } => elementwise::unary(frame, *op, *x)?,
        Op::Binary { op, a, b } => elementwise::binary(frame, *op, *a, *b)?,
        Op::Combine { coefficients, inputs } => elementwise::combine(frame, *coefficients, inputs)?,
        Op::Input { .. } | Op::State { .. } | Op::Parameter { .. } | Op::Constant { .. } | Op::Fill { .. } => {
            unreachable!("the executor gives leaves their values")
        }
    };
    debug_assert_eq!(values.len(), node.elements(), "{}", node.label);
    Ok(Data::owned(values))
}

/// The activations of `value` as the other factor of a product with `weight`: rotated where its rows are.
fn factor<'f>(frame: &'f Frame<'_>, value: Value, weight: &Matrix, precision: Precision) -> Result<Cow<'f, [f32]>> {
    let Some(rotation) = weight.rotation() else {
        return operand(frame, value, precision);
    };
    let mut rotated = frame.f32(value)?.to_vec();
    rotated.par_chunks_mut(weight.k).for_each(|row| {
        rotation.rotate(row);
        if precision == Precision::F16 {
            round_f16_slice(row);
        }
    });
    Ok(Cow::Owned(rotated))
}

/// The activations of `value` as an operand of a product.
fn operand<'f>(frame: &'f Frame<'_>, value: Value, precision: Precision) -> Result<Cow<'f, [f32]>> {
    let values = frame.f32(value)?;
    Ok(match precision {
        Precision::F32 => Cow::Borrowed(values),
        Precision::F16 => {
            let mut rounded = values.to_vec();
            rounded.par_chunks_mut(TASK).for_each(round_f16_slice);
            Cow::Owned(rounded)
        }
    })
}
