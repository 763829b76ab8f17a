//! The operations, one file per family.

mod attention;
mod conv3d;
mod elementwise;
mod gather;
mod linear;
mod norm;
mod qk_norm_rope;
mod rearrange;
mod rows;

use std::borrow::Cow;

use kinora_graph::{Node, Op, Precision, Result, Value};
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
