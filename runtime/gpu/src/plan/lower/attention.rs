//! Attention: one kernel for heads of usual size, three for wide ones.

use kinora_graph::{Attention, Cost, Result, Scores, Value};
use kinora_shaders::attention::{QUERY_TILE, Tile};
use kinora_shaders::{attention, flags, matmul, quantize_heads, softmax};

use super::super::chunk::share;
use super::super::emit::Emitter;
use super::super::view::View;
use super::flag;
use crate::tune::{self, Operation};

/// Sizes of an attention, and the views of one or more of its batches.
#[derive(Clone, Copy)]
struct Shape {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    head_dim: usize,
}

#[derive(Clone, Copy)]
struct Views {
    q: View,
    k: View,
    v: View,
    out: View,
}

impl Views {
    /// Those of one batch.
    fn batch(self, index: usize, shape: &Shape) -> Self {
        let width = shape.heads * shape.head_dim;
        let rows = |view: View, count: usize| view.rows(&(index * count..(index + 1) * count), width);
        Self {
            q: rows(self.q, shape.queries),
            k: rows(self.k, shape.keys),
            v: rows(self.v, shape.keys),
            out: rows(self.out, shape.queries),
        }
    }
}

impl Emitter<'_> {
    pub(super) fn attention(&mut self, value: Value, op: &Attention) -> Result<()> {
        let (q, k) = (&self.graph.node(op.q).shape, &self.graph.node(op.k).shape);
        let axes = q.len();
        let shape = Shape {
            batch: if axes == 3 { q[0] } else { 1 },
            queries: q[axes - 2],
            keys: k[axes - 2],
            heads: op.heads,
            head_dim: q[axes - 1] / op.heads,
        };
        let cost = self.graph.cost(value);
        let views = Views {
            q: self.view(op.q),
            k: self.view(op.k),
            v: self.view(op.v),
            out: self.result(value),
        };
        if op.scores == Scores::Int8 {
            return self.int8(op, shape, views, cost);
        }
        let kernel = self.attention_kernel(op, &shape);
        let max = self.capabilities.max_binding;
        let fits = [views.q, views.k, views.v].iter().all(|v| v.size <= max);
        if let (Some(kernel), true) = (kernel, fits) {
            return self.fused(op, kernel, shape, views, cost);
        }
        let one = Shape { batch: 1, ..shape };
        let cost = share(cost, 1.0 / shape.batch as f64);
        for batch in 0..shape.batch {
            // Wide heads find a batch by its offset; what cannot be bound whole is bound batch by batch.
            let (views, batch) = if fits {
                (views, batch)
            } else {
                (views.batch(batch, &shape), 0)
            };
            let aligned = |v: &View| v.offset.is_multiple_of(self.capabilities.storage_alignment);
            if ![views.q, views.k, views.v, views.out].iter().all(aligned) {
                return Err(self.too_large(views.q.size * shape.batch as u64));
            }
            match kernel {
                Some(kernel) => self.fused(op, kernel, one, views, cost)?,
                None => self.wide(op, one, views, batch, cost)?,
            }
        }
        Ok(())
    }

    /// The same with q and k quantised: one batch (see [`Scores::Int8`]).
    fn int8(&mut self, op: &Attention, shape: Shape, views: Views, cost: Cost) -> Result<()> {
        let heads = [shape.heads, shape.head_dim];
        let views = Views {
            q: self.quantized_heads(views.q, shape.queries, heads, false)?,
            k: self.quantized_heads(views.k, shape.keys, heads, true)?,
            ..views
        };
        let (software, round) = (self.capabilities.software, self.rounds());
        let kernel = attention::Attention::choose_int8(shape.head_dim as u32, software, round);
        let kernel = kernel.expect("the builder asks for heads that fit");
        self.fused(op, kernel, shape, views, cost)
    }

    /// The kernel for heads of that size, where there is one.
    fn attention_kernel(&mut self, op: &Attention, shape: &Shape) -> Option<attention::Attention> {
        let (head_dim, round) = (shape.head_dim as u32, self.rounds());
        let device = self.capabilities;
        let rule = match self.in_lanes() && op.bias.is_none() && Tile::Lanes.serves(head_dim, round) {
            true => Tile::Lanes,
            false => Tile::choose(head_dim, round, device.software, device.features, device.subgroup),
        };
        // Neither full precision nor how text is encoded depends on what is measured.
        let ruled = !round || op.bias.is_some() || op.mask.is_some() || !rule.serves(head_dim, round);
        let tile = if ruled { rule } else { self.measured_tile(shape, rule) };
        attention::Attention::choose(head_dim, tile, round)
    }

    /// The tile that was measured, else `rule`.
    fn measured_tile(&mut self, shape: &Shape, rule: Tile) -> Tile {
        let heads = shape.batch * shape.heads;
        let operation = Operation::Attention {
            head_dim: shape.head_dim as u32,
            factors: match rule {
                Tile::Matrices(factors) => factors,
                Tile::Side4 | Tile::Side8 | Tile::Lanes => self.factors(),
            },
        };
        let work = 4 * [shape.queries, heads, shape.keys, shape.head_dim]
            .map(|size| size as u64)
            .iter()
            .product::<u64>();
        match self.tile(
            operation,
            [shape.queries, heads, shape.keys],
            tune::Tile::Attention(rule),
            work,
        ) {
            tune::Tile::Attention(tile) => tile,
            tune::Tile::Product(_) => rule,
        }
    }

    /// The kernel that never stores scores.
    fn fused(
        &mut self,
        op: &Attention,
        kernel: attention::Attention,
        shape: Shape,
        views: Views,
        cost: Cost,
    ) -> Result<()> {
        let width = shape.heads * shape.head_dim;
        let q_width = match kernel.int8 {
            true => quantize_heads::words(shape.heads as u32, shape.head_dim as u32) as usize,
            false => width,
        };
        // With several batches all views fit, and columns do not matter.
        let operands = [(views.q, q_width), (views.out, width)];
        for chunk in self.chunks(shape.queries, QUERY_TILE as usize, &operands, cost) {
            // The bias is found by j - i + query_length - 1: where the first queries are not bound, i counts
            // from the first that is, and the length is what remains.
            let skipped = chunk.rows.start - chunk.first() as usize;
            let params = attention::Params {
                queries: chunk.len(),
                first_query: chunk.first(),
                query_length: (shape.queries - skipped) as u32,
                key_length: shape.keys as u32,
                heads: shape.heads as u32,
                head_dim: shape.head_dim as u32,
                batch: shape.batch as u32,
                flags: flag(op.bias.is_some(), flags::BIAS) | flag(op.mask.is_some(), flags::MASK),
                scale: op.scale,
                ..Default::default()
            };
            let q = chunk.view(views.q, q_width);
            let bound = [
                q,
                views.k,
                views.v,
                self.optional(op.bias, q),
                self.optional(op.mask, q),
                chunk.view(views.out, width),
            ];
            self.emit(kernel, params, &bound, chunk.cost(cost))?;
        }
        Ok(())
    }

    /// Blocks of queries: scores, softmax, product. One batch of those in `views`.
    fn wide(&mut self, op: &Attention, shape: Shape, views: Views, batch: usize, cost: Cost) -> Result<()> {
        if op.bias.is_some() || op.mask.is_some() {
            return Err(self.unsupported(format!(
                "a bias or a mask needs heads of at most {} channels",
                attention::MAX_HEAD_DIM
            )));
        }
        let width = shape.heads * shape.head_dim;
        let round = self.rounds();
        let scores_kernel = matmul::Matmul {
            transposed: true,
            round_a: round,
            round_b: round,
        };
        let product_kernel = matmul::Matmul {
            transposed: false,
            round_a: false,
            round_b: round,
        };
        let scratch = self.options.scratch.min(self.capabilities.max_binding) as usize / 4;
        let most = (scratch / shape.keys).max(1);
        let operands = [(views.q, width), (views.out, width)];
        let head_cost = share(cost, 0.5 / shape.heads as f64);
        // Several batches are there only where all of them are bound.
        let (first_query, first_key) = (batch * shape.queries, batch * shape.keys);
        for chunk in self.chunks(shape.queries, 64, &operands, head_cost) {
            let (q, out) = (chunk.view(views.q, width), chunk.view(views.out, width));
            for start in (0..chunk.rows.len()).step_by(most) {
                let rows = (chunk.rows.len() - start).min(most);
                let row = first_query + chunk.first() as usize + start;
                let cost = share(head_cost, rows as f64 / shape.queries as f64);
                for head in 0..shape.heads {
                    let scores = self.temp(rows * shape.keys);
                    let column = head * shape.head_dim;
                    let scores_params = matmul::Params {
                        m: rows as u32,
                        n: shape.keys as u32,
                        k: shape.head_dim as u32,
                        alpha: op.scale,
                        a_offset: (row * width + column) as u32,
                        a_stride: width as u32,
                        b_offset: (first_key * width + column) as u32,
                        b_stride: width as u32,
                        out_offset: 0,
                        out_stride: shape.keys as u32,
                        ..Default::default()
                    };
                    self.emit(scores_kernel, scores_params, &[q, views.k, scores], cost)?;
                    let softmax_params = softmax::Params {
                        rows: rows as u32,
                        columns: shape.keys as u32,
                        ..Default::default()
                    };
                    let softmax_cost = Cost {
                        flops: 8 * (rows * shape.keys) as u64,
                        bytes: 3 * scores.size,
                    };
                    self.emit(softmax::Softmax, softmax_params, &[scores, scores], softmax_cost)?;
                    let product_params = matmul::Params {
                        m: rows as u32,
                        n: shape.head_dim as u32,
                        k: shape.keys as u32,
                        alpha: 1.0,
                        a_offset: 0,
                        a_stride: shape.keys as u32,
                        b_offset: (first_key * width + column) as u32,
                        b_stride: width as u32,
                        out_offset: (row * width + column) as u32,
                        out_stride: width as u32,
                        ..Default::default()
                    };
                    self.emit(product_kernel, product_params, &[scores, views.v, out], cost)?;
                }
            }
        }
        Ok(())
    }
}
