//! Norms.

use kinora_graph::{Activation, Norm, NormKind, Result};
use rayon::prelude::*;

use super::rows::{Table, rows_per_task};
use crate::frame::Frame;
use crate::math::activate;
use crate::vector::vectorised;

pub(super) fn run(frame: &Frame<'_>, op: &Norm) -> Result<Vec<f32>> {
    let x = frame.f32(op.x)?;
    let columns = frame.graph().node(op.x).columns();
    let weight = frame.optional(op.weight)?;
    let bias = frame.optional(op.bias)?;
    let modulation = match op.modulation {
        Some(m) => Some((m, Table::new(frame, m.table, m.rows)?)),
        None => None,
    };
    let mut out = vec![0.0; x.len()];
    let rows = out.par_chunks_mut(columns).zip(x.par_chunks(columns)).enumerate();
    rows.with_min_len(rows_per_task(columns)).for_each(|(index, (out, x))| {
        let (mean, factor) = statistics(op.kind, op.eps, x);
        out.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean) * factor);
        if let Some(weight) = weight {
            out.iter_mut().zip(weight).for_each(|(y, w)| *y *= w);
        }
        if let Some(bias) = bias {
            out.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
        }
        if let Some((m, table)) = &modulation {
            let scale = table.columns(index, m.scale, columns);
            let shift = table.columns(index, m.shift, columns);
            for ((y, scale), shift) in out.iter_mut().zip(scale).zip(shift) {
                *y = *y * (1.0 + scale) + shift;
            }
        }
        if op.activation != Activation::None {
            activate(op.activation, out);
        }
    });
    Ok(out)
}

/// What is subtracted from a row, and the factor of the rest.
pub(super) fn statistics(kind: NormKind, eps: f32, x: &[f32]) -> (f32, f32) {
    let (n, eps) = (x.len() as f64, f64::from(eps));
    match kind {
        NormKind::Layer => {
            let mean = sum(x) / n;
            let variance = sum_of_squares(x, mean) / n;
            (mean as f32, (1.0 / (variance + eps).sqrt()) as f32)
        }
        NormKind::Rms => (0.0, (1.0 / (sum_of_squares(x, 0.0) / n + eps).sqrt()) as f32),
        NormKind::L2 => (0.0, (n.sqrt() / sum_of_squares(x, 0.0).sqrt().max(eps)) as f32),
    }
}

/// Lanes of a sum that the compiler turns into vectors.
const LANES: usize = 8;

vectorised! {
    /// Σ x
    fn sum(x: &[f32]) -> f64 {
        let (chunks, rest) = x.as_chunks::<LANES>();
        let mut lanes = [0.0; LANES];
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(*x);
            }
        }
        rest.iter().fold(lanes.iter().sum(), |sum, x| sum + f64::from(*x))
    }
}

vectorised! {
    /// Σ (x - mean)²
    fn sum_of_squares(x: &[f32], mean: f64) -> f64 {
        let square = |x: f32| (f64::from(x) - mean) * (f64::from(x) - mean);
        let (chunks, rest) = x.as_chunks::<LANES>();
        let mut lanes = [0.0; LANES];
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane += square(*x);
            }
        }
        rest.iter().fold(lanes.iter().sum(), |sum, x| sum + square(*x))
    }
}
