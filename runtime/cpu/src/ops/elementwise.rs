//! Operations that look at one element at a time.

use kinora_graph::{BinaryOp, Result, UnaryOp, Value};
use rayon::prelude::*;

use super::TASK;
use crate::frame::Frame;
use crate::math::activate;

pub(super) fn unary(frame: &mut Frame<'_>, op: UnaryOp, x: Value) -> Result<Vec<f32>> {
    let mut out = frame.take_or_copy(x, &[])?;
    out.par_chunks_mut(TASK).for_each(|out| match op {
        UnaryOp::Activation(activation) => activate(activation, out),
        // As defined, and unlike `f32::clamp` also where the bounds cross.
        UnaryOp::Clamp { low, high } => out.iter_mut().for_each(|v| *v = v.max(low).min(high)),
    });
    Ok(out)
}

pub(super) fn binary(frame: &mut Frame<'_>, op: BinaryOp, a: Value, b: Value) -> Result<Vec<f32>> {
    let mut out = frame.take_or_copy(a, &[b])?;
    let b = frame.f32(b)?;
    // One row of b serves every row of a.
    let row = b.len().max(1);
    let run = if row < out.len() {
        row * (TASK / row).max(1)
    } else {
        TASK
    };
    out.par_chunks_mut(run).enumerate().for_each(|(index, out)| {
        for (i, out) in out.chunks_mut(row).enumerate() {
            let b = &b[(index * run + i * row) % row..];
            match op {
                BinaryOp::Add => out.iter_mut().zip(b).for_each(|(a, b)| *a += b),
                BinaryOp::Mul => out.iter_mut().zip(b).for_each(|(a, b)| *a *= b),
            }
        }
    });
    Ok(out)
}

pub(super) fn combine(frame: &mut Frame<'_>, coefficients: Value, inputs: &[Value]) -> Result<Vec<f32>> {
    let coefficients = frame.f32(coefficients)?.to_vec();
    let (first, others) = inputs.split_first().expect("the builder asks for an input");
    let mut out = frame.take_or_copy(*first, others)?;
    let others: Vec<&[f32]> = others.iter().map(|v| frame.f32(*v)).collect::<Result<_>>()?;
    out.par_chunks_mut(TASK).enumerate().for_each(|(index, out)| {
        out.iter_mut().for_each(|y| *y *= coefficients[0]);
        for (input, c) in others.iter().zip(&coefficients[1..]) {
            out.iter_mut()
                .zip(&input[index * TASK..])
                .for_each(|(y, x)| *y += c * x);
        }
    });
    Ok(out)
}

pub(super) fn concat(frame: &Frame<'_>, inputs: &[Value]) -> Result<Vec<f32>> {
    let inputs: Vec<&[f32]> = inputs.iter().map(|v| frame.f32(*v)).collect::<Result<_>>()?;
    Ok(inputs.concat())
}
