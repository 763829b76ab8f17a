//! Linear layers.

use kinora_graph::{Activation, Epilogue, Linear, Precision, Result};
use rayon::prelude::*;

use super::rows::{Table, rows_per_task};
use super::{Machine, factor, int8};
use crate::frame::Frame;
use crate::math::{activate, gelu_tanh_times};
use crate::matmul::{Mat, Old, Target, Threads, multiply};
use crate::weights::WeightMatrix;

/// With fewer rows than this, the time goes into decoding the weight: each task decodes a piece for itself, small
/// enough for its cache.
const FEW_ROWS: usize = 32;

/// Elements of such a piece.
const PIECE: usize = 128 * 1024;

pub(super) fn run(machine: &Machine<'_>, frame: &Frame<'_>, op: &Linear) -> Result<Vec<f32>> {
    let mut out = if op.quantizes() {
        int8::product(machine, frame, op)?
    } else {
        product(machine, frame, op)?
    };
    epilogue(frame, op, &mut out)?;
    Ok(out)
}

/// x Wᵀ, without what follows.
fn product(machine: &Machine<'_>, frame: &Frame<'_>, op: &Linear) -> Result<Vec<f32>> {
    let precision = if op.precise { Precision::F32 } else { machine.precision };
    let x = factor(frame, op.x, &op.weight, precision)?;
    let (m, k, n) = (frame.graph().node(op.x).rows(), op.weight.k, op.weight.n());
    let weight = WeightMatrix::new(machine.weights, &op.weight, precision);
    let mut out = vec![0.0; m * n];
    let x = Mat::new(&x, m, k, k);
    if m <= FEW_ROWS {
        by_pieces(&mut out, x, m, k, n, weight)?;
        return Ok(out);
    }
    for panel in weight.panels() {
        let w = weight.decode(panel.clone())?;
        let w = Mat::new(&w, panel.len(), k, k).transposed();
        multiply(
            Target::new(&mut out[panel.start..], n),
            Old::Overwritten,
            x,
            w,
            1.0,
            Threads::All,
        );
    }
    Ok(out)
}

/// Each task multiplies by a few rows of the weight.
fn by_pieces(out: &mut [f32], x: Mat<'_>, m: usize, k: usize, n: usize, weight: WeightMatrix<'_>) -> Result<()> {
    let piece = (PIECE / k.max(1)).clamp(8, 256);
    let products: Vec<Vec<f32>> = (0..n.div_ceil(piece))
        .into_par_iter()
        .map_init(
            || vec![0.0; piece * k],
            |w, index| {
                let range = index * piece..n.min((index + 1) * piece);
                let w = &mut w[..range.len() * k];
                weight.decode_into(range.clone(), w)?;
                let mut product = vec![0.0; m * range.len()];
                let w = Mat::new(w, range.len(), k, k).transposed();
                multiply(
                    Target::new(&mut product, range.len()),
                    Old::Overwritten,
                    x,
                    w,
                    1.0,
                    Threads::One,
                );
                Ok(product)
            },
        )
        .collect::<Result<_>>()?;
    for (index, product) in products.iter().enumerate() {
        let width = product.len() / m.max(1);
        for (out, product) in out.chunks_mut(n).zip(product.chunks(width)) {
            out[index * piece..][..width].copy_from_slice(product);
        }
    }
    Ok(())
}

/// Bias and what follows, row by row.
fn epilogue(frame: &Frame<'_>, op: &Linear, out: &mut [f32]) -> Result<()> {
    let n = op.weight.n();
    let bias = frame.optional(op.bias)?;
    let add_bias = |row: &mut [f32]| {
        if let Some(bias) = bias {
            row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
        }
    };
    let task = rows_per_task(n);
    match op.epilogue {
        Epilogue::Activation(Activation::None) if bias.is_none() => {}
        Epilogue::Activation(activation) => out.par_chunks_mut(task * n).for_each(|rows| {
            rows.chunks_mut(n).for_each(add_bias);
            activate(activation, rows);
        }),
        Epilogue::GeluTanhTimes(other) => {
            let other = frame.f32(other)?;
            out.par_chunks_mut(task * n)
                .zip(other.par_chunks(task * n))
                .for_each(|(rows, other)| {
                    rows.chunks_mut(n).for_each(add_bias);
                    gelu_tanh_times(rows, other);
                });
        }
        Epilogue::Residual { residual, gate } => {
            let residual = frame.f32(residual)?;
            let table = gate.map(|gate| Table::new(frame, gate.table, gate.rows)).transpose()?;
            out.par_chunks_mut(n)
                .zip(residual.par_chunks(n))
                .enumerate()
                .with_min_len(task)
                .for_each(|(index, (row, residual))| {
                    add_bias(row);
                    match (&table, gate) {
                        (Some(table), Some(gate)) => {
                            let factors = table.columns(index, gate.column, n);
                            for ((y, r), g) in row.iter_mut().zip(residual).zip(factors) {
                                *y = r + g * *y;
                            }
                        }
                        _ => row.iter_mut().zip(residual).for_each(|(y, r)| *y += r),
                    }
                });
        }
    }
    Ok(())
}
