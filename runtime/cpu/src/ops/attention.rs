//! Attention, a block of queries times a block of keys at a time: the scores of a sequence never exist together.

use std::borrow::Cow;

use kinora_graph::{Attention, Result, Scores, Value};
use kinora_quant::int8::{column_means, quantize_row};
use rayon::prelude::*;

use super::{Machine, operand};
use crate::frame::Frame;
use crate::math::{exp, exp_and_sum, highest};
use crate::matmul::{Mat, Old, Target, Threads, multiply};

/// Most queries of a task.
const QUERIES: usize = 128;

/// Keys whose scores exist at once; with [`QUERIES`] they take 256 KiB.
const KEYS: usize = 512;

pub(super) fn run(machine: &Machine<'_>, frame: &Frame<'_>, op: &Attention) -> Result<Vec<f32>> {
    let q = Factor::new(machine, frame, op, op.q, false)?;
    let k = Factor::new(machine, frame, op, op.k, true)?;
    let v = operand(frame, op.v, machine.precision)?;
    let shape = frame.shape(op.q);
    let (queries, width) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let keys = frame.shape(op.k)[shape.len() - 2];
    let positions = queries + keys - 1;
    // One head's biases together.
    let bias = frame.optional(op.bias)?.map(|bias| -> Vec<f32> {
        (0..op.heads * positions)
            .map(|i| bias[i % positions * op.heads + i / positions])
            .collect()
    });
    let problem = Problem {
        op,
        scales: (q.scales.as_deref()).zip(k.scales.as_deref()),
        k: &k.values,
        v: &v,
        bias: bias.as_deref(),
        mask: frame.optional(op.mask)?,
        blocks: frame.optional(op.blocks)?.map(|blocks| Blocks {
            blocks,
            down: queries.div_ceil(Attention::BLOCK),
            across: keys.div_ceil(Attention::BLOCK),
        }),
        queries,
        keys,
        width,
        head: width / op.heads,
    };

    let q = &*q.values;
    let mut out = vec![0.0; q.len()];
    // At least eight tasks where the sequence is short; by shape alone.
    let block = queries.div_ceil(8).clamp(16, QUERIES);
    let batches = out
        .par_chunks_mut((queries * width).max(1))
        .zip(q.par_chunks((queries * width).max(1)));
    batches.enumerate().for_each(|(batch, (out, q))| {
        let tasks = out.par_chunks_mut(block * width).zip(q.par_chunks(block * width));
        tasks
            .enumerate()
            .for_each_init(Scratch::default, |scratch, (index, (out, q))| {
                for head in 0..op.heads {
                    problem.block(scratch, out, q, batch, index * block, head);
                }
            });
    });
    Ok(out)
}

/// q or k.
struct Factor<'f> {
    /// Numbers, or those that bytes hold.
    values: Cow<'f, [f32]>,
    /// Of int8 scores: `[rows, heads]`.
    scales: Option<Vec<f32>>,
}

impl<'f> Factor<'f> {
    /// `value` as `op` multiplies it; int8 without its mean where it is `smooth`.
    fn new(machine: &Machine<'_>, frame: &'f Frame<'_>, op: &Attention, value: Value, smooth: bool) -> Result<Self> {
        if op.scores == Scores::Float {
            return Ok(Self {
                values: operand(frame, value, machine.precision)?,
                scales: None,
            });
        }
        let width = frame.shape(value)[1];
        let mut values = frame.f32(value)?.to_vec();
        let means = if smooth {
            column_means(&values, width)
        } else {
            vec![0.0; width]
        };
        let head = width / op.heads;
        let quantize = |(index, values): (usize, &mut [f32])| {
            let means = &means[index % op.heads * head..][..head];
            values.iter_mut().zip(means).for_each(|(v, mean)| *v -= mean);
            let mut bytes = vec![0; head];
            let scale = quantize_row(values, &mut bytes);
            values.iter_mut().zip(bytes).for_each(|(v, byte)| *v = f32::from(byte));
            scale
        };
        let scales = values.par_chunks_mut(head).enumerate().map(quantize).collect();
        Ok(Self {
            values: values.into(),
            scales: Some(scales),
        })
    }
}

/// What all tasks share.
struct Problem<'a> {
    op: &'a Attention,
    /// Those of q and k, where scores are int8. Sums of 128 products of bytes are exact in f32.
    scales: Option<(&'a [f32], &'a [f32])>,
    k: &'a [f32],
    v: &'a [f32],
    /// `[heads, Lq + Lk - 1]`
    bias: Option<&'a [f32]>,
    mask: Option<&'a [f32]>,
    blocks: Option<Blocks<'a>>,
    queries: usize,
    keys: usize,
    /// Of a row: all heads.
    width: usize,
    /// Of a head.
    head: usize,
}

/// Which keys queries see.
struct Blocks<'a> {
    /// `[down, across]`, of each head or of all.
    blocks: &'a [f32],
    down: usize,
    across: usize,
}

impl Blocks<'_> {
    /// Those of a query.
    fn row(&self, head: usize, query: usize) -> &[f32] {
        let row = head * self.down + query / Attention::BLOCK;
        let rows = self.blocks.len() / self.across;
        &self.blocks[row % rows * self.across..][..self.across]
    }
}

/// What a task needs for itself.
#[derive(Default)]
struct Scratch {
    scores: Vec<f32>,
    sums: Vec<f32>,
    rows: Vec<Running>,
}

/// The softmax of a query so far.
#[derive(Clone, Copy)]
struct Running {
    highest: f32,
    total: f64,
}

impl Problem<'_> {
    /// One head of the queries `q`, whose first is number `first` of its batch.
    fn block(&self, scratch: &mut Scratch, out: &mut [f32], q: &[f32], batch: usize, first: usize, head: usize) {
        let (d, width) = (self.head, self.width);
        let rows = q.len() / width;
        let Scratch {
            scores,
            sums,
            rows: running,
        } = scratch;
        sums.resize(rows * d, 0.0);
        running.clear();
        running.resize(
            rows,
            Running {
                highest: f32::NEG_INFINITY,
                total: 0.0,
            },
        );
        let q = Mat::new(&q[head * d..], rows, d, width);
        for start in (0..self.keys).step_by(KEYS) {
            let keys = (self.keys - start).min(KEYS);
            let offset = (batch * self.keys + start) * width + head * d;
            let k = Mat::new(&self.k[offset..], keys, d, width).transposed();
            let v = Mat::new(&self.v[offset..], keys, d, width);
            scores.resize(rows * keys, 0.0);
            let factor = self.scales.map_or(self.op.scale, |_| 1.0);
            multiply(Target::new(scores, keys), Old::Overwritten, q, k, factor, Threads::One);
            for (row, (scores, running)) in scores.chunks_mut(keys).zip(running.iter_mut()).enumerate() {
                self.scale_int8(scores, head, first + row, start);
                self.add_biases(scores, head, first + row, start);
                let factor = running.take(scores);
                if start > 0 && factor != 1.0 {
                    sums[row * d..][..d].iter_mut().for_each(|sum| *sum *= factor);
                }
            }
            let old = if start == 0 { Old::Overwritten } else { Old::AddedTo };
            multiply(
                Target::new(sums, d),
                old,
                Mat::new(scores, rows, keys, keys),
                v,
                1.0,
                Threads::One,
            );
        }
        for (row, running) in running.iter().enumerate() {
            // A query that sees no key has no weights.
            let factor = if running.total > 0.0 {
                (1.0 / running.total) as f32
            } else {
                0.0
            };
            let out = &mut out[row * width + head * d..][..d];
            out.iter_mut()
                .zip(&sums[row * d..])
                .for_each(|(o, sum)| *o = sum * factor);
        }
    }

    /// Scales of int8 scores of one query from key `start` on.
    fn scale_int8(&self, scores: &mut [f32], head: usize, query: usize, start: usize) {
        let Some((q, k)) = self.scales else { return };
        let heads = self.op.heads;
        let scale = self.op.scale * q[query * heads + head];
        let keys = k[start * heads + head..].iter().step_by(heads);
        scores.iter_mut().zip(keys).for_each(|(s, key)| *s *= scale * key);
    }

    /// Relative positions, mask and blocks, for the scores of one query from key `start` on.
    fn add_biases(&self, scores: &mut [f32], head: usize, query: usize, start: usize) {
        if let Some(bias) = self.bias {
            let positions = self.queries + self.keys - 1;
            let bias = &bias[head * positions + start + self.queries - 1 - query..];
            scores.iter_mut().zip(bias).for_each(|(s, b)| *s += b);
        }
        if let Some(mask) = self.mask {
            scores.iter_mut().zip(&mask[start..]).for_each(|(s, m)| *s += m);
        }
        if let Some(blocks) = &self.blocks {
            let seen = &blocks.row(head, query)[start / Attention::BLOCK..];
            for (scores, _) in scores
                .chunks_mut(Attention::BLOCK)
                .zip(seen)
                .filter(|(_, s)| **s == 0.0)
            {
                scores.fill(f32::NEG_INFINITY);
            }
        }
    }
}

impl Running {
    /// Turns scores into weights relative to the highest score so far; returns the factor of all that was summed
    /// before.
    fn take(&mut self, scores: &mut [f32]) -> f32 {
        let highest = highest(scores).max(self.highest);
        // Where every key so far is masked with minus infinity, nothing has a weight yet.
        let base = if highest == f32::NEG_INFINITY { 0.0 } else { highest };
        let factor = exp(self.highest - base);
        self.highest = highest;
        self.total = self.total * f64::from(factor) + f64::from(exp_and_sum(scores, base));
        factor
    }
}
