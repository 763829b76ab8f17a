//! RMS norm over all heads, then rotation.

use kinora_graph::{NormKind, QkNormRope, Result};
use rayon::prelude::*;

use super::norm::statistics;
use super::rows::rows_per_task;
use crate::frame::Frame;

pub(super) fn run(frame: &Frame<'_>, op: &QkNormRope) -> Result<Vec<f32>> {
    let (x, weight) = (frame.f32(op.x)?, frame.f32(op.weight)?);
    let (cos, sin) = (frame.f32(op.cos)?, frame.f32(op.sin)?);
    let columns = weight.len();
    let head = columns / op.heads;
    let mut out = vec![0.0; x.len()];
    let rows = out.par_chunks_mut(columns).zip(x.par_chunks(columns));
    let tables = cos.par_chunks(head / 2).zip(sin.par_chunks(head / 2));
    rows.zip(tables)
        .with_min_len(rows_per_task(columns))
        .for_each(|((out, x), (cos, sin))| {
            let (_, factor) = statistics(NormKind::Rms, op.eps, x);
            let heads = out.chunks_mut(head).zip(x.chunks(head)).zip(weight.chunks(head));
            for ((out, x), weight) in heads {
                let (out, x, weight) = (
                    out.as_chunks_mut::<2>().0,
                    x.as_chunks::<2>().0,
                    weight.as_chunks::<2>().0,
                );
                for ((((out, x), w), c), s) in out.iter_mut().zip(x).zip(weight).zip(cos).zip(sin) {
                    let [a, b] = [x[0] * factor * w[0], x[1] * factor * w[1]];
                    *out = [a * c - b * s, a * s + b * c];
                }
            }
        });
    Ok(out)
}
