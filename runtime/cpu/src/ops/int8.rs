//! Products of int8 weights with rows that are quantised alike: sums of integers, which are exact whatever their order.

use kinora_graph::{Linear, Precision, Result};
use kinora_quant::int8::quantize_row;
use rayon::prelude::*;

use super::Machine;
use crate::frame::Frame;
use crate::matmul::{Mat, Old, Target, Threads, multiply};
use crate::weights::WeightMatrix;

/// This many products of bytes add up exactly in f32: they are at most 2²⁴.
const EXACT: usize = 1024;

/// Rows of a task.
const ROWS: usize = 64;

/// x Wᵀ, without what follows.
pub(super) fn product(machine: &Machine<'_>, frame: &Frame<'_>, op: &Linear) -> Result<Vec<f32>> {
    let (k, n) = (op.weight.k, op.weight.n());
    let (x, x_scales) = quantized(frame, op)?;
    let m = x_scales.len();
    let weight = WeightMatrix::new(machine.weights, &op.weight, Precision::F32);
    let threads = if m <= ROWS { Threads::All } else { Threads::One };
    let mut out = vec![0.0; m * n];
    for panel in weight.panels() {
        let (w, w_scales) = weight.integers(panel.clone())?;
        out.par_chunks_mut(ROWS * n).enumerate().for_each(|(task, out)| {
            let (rows, columns) = (out.len() / n, panel.len());
            let mut partial = vec![0.0; rows * columns];
            let mut sums = vec![0i32; rows * columns];
            for first in (0..k).step_by(EXACT) {
                let depth = EXACT.min(k - first);
                let x = Mat::new(&x[task * ROWS * k + first..], rows, depth, k);
                let w = Mat::new(&w[first..], columns, depth, k).transposed();
                multiply(Target::new(&mut partial, columns), Old::Overwritten, x, w, 1.0, threads);
                sums.iter_mut().zip(&partial).for_each(|(sum, p)| *sum += *p as i32);
            }
            let x_scales = &x_scales[task * ROWS..];
            for ((out, sums), x_scale) in out.chunks_mut(n).zip(sums.chunks(columns)).zip(x_scales) {
                let out = &mut out[panel.start..panel.end];
                for ((y, sum), w_scale) in out.iter_mut().zip(sums).zip(&w_scales) {
                    *y = *sum as f32 * (x_scale * w_scale);
                }
            }
        });
    }
    Ok(out)
}

/// The rows of x as integers, and their scales.
fn quantized(frame: &Frame<'_>, op: &Linear) -> Result<(Vec<f32>, Vec<f32>)> {
    let k = op.weight.k;
    let mut x = frame.f32(op.x)?.to_vec();
    let rotation = op.weight.rotation();
    let scales = x
        .par_chunks_mut(k)
        .map_init(
            || vec![0; k],
            |bytes, row| {
                if let Some(rotation) = rotation {
                    rotation.rotate(row);
                }
                let scale = quantize_row(row, bytes);
                row.iter_mut().zip(&*bytes).for_each(|(v, q)| *v = f32::from(*q));
                scale
            },
        )
        .collect();
    Ok((x, scales))
}
