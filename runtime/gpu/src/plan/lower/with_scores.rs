//! Attention that stores the scores of some queries at a time: products, softmax, products. It serves heads of any size, and
//! keys and values of any length: those that cannot be bound whole are bound by ranges of rows.

use std::ops::Range;

use kinora_graph::{Attention, Cost, Result};
use kinora_shaders::matmul::{self, Matmul};
use kinora_shaders::softmax;

use super::super::chunk::{MAX_ROWS, share};
use super::super::emit::Emitter;
use super::attention::{Shape, Views, flags_of};

/// What rows and columns of products are best multiples of.
const GRANULE: usize = 64;

impl Emitter<'_> {
    /// Computes the batch `batch` of those in `views`, at this cost. How it is cut changes no bit.
    pub(super) fn with_scores(
        &mut self,
        op: &Attention,
        shape: Shape,
        views: Views,
        batch: usize,
        cost: Cost,
    ) -> Result<()> {
        let Shape {
            queries, keys, heads, ..
        } = shape;
        let width = heads * shape.head_dim;
        // Of one of the two products of a head.
        let cost = share(cost, 0.5 / heads as f64);
        let scratch = (self.options.scratch.min(self.capabilities.max_binding) / 4) as usize;
        let bound = self.rows_of_window(views.q, width).min(scratch / keys).min(MAX_ROWS);
        let rows = granules(bound.min(self.pieces_in_slice(queries, GRANULE, cost)), queries);
        for first in (0..queries).step_by(rows) {
            let rows = rows.min(queries - first);
            let cost = share(cost, rows as f64 / queries as f64);
            for head in 0..heads {
                self.head_with_scores(op, shape, views, [batch, head], [first, rows], cost)?;
            }
        }
        Ok(())
    }

    /// One head of `rows` queries from the query `first` on; `cost` is that of each product.
    fn head_with_scores(
        &mut self,
        op: &Attention,
        shape: Shape,
        views: Views,
        [batch, head]: [usize; 2],
        [first, rows]: [usize; 2],
        cost: Cost,
    ) -> Result<()> {
        let Shape {
            queries,
            keys,
            heads,
            head_dim,
            ..
        } = shape;
        let (width, column) = (heads * head_dim, head * head_dim);
        let round = self.rounds();
        let product = matmul::Params {
            m: rows as u32,
            alpha: 1.0,
            b_stride: width as u32,
            ..Default::default()
        };
        let scores = self.temp(rows * keys);
        let bound = self.rows_of_window(views.k, width);
        let range = granules(bound.min(self.pieces_in_slice(keys, GRANULE, cost)), keys);
        let ranges = (0..keys).step_by(range).map(|start| start..(start + range).min(keys));
        let of_batch = |rows: &Range<usize>, length: usize| batch * length + rows.start..batch * length + rows.end;

        let query_rows = of_batch(&(first..first + rows), queries);
        let (q, q_first) = self.window(views.q, &query_rows, width);
        let kernel = Matmul {
            transposed: true,
            round_a: round,
            round_b: round,
        };
        for range in ranges.clone() {
            let (k, k_first) = self.window(views.k, &of_batch(&range, keys), width);
            let params = matmul::Params {
                n: range.len() as u32,
                k: head_dim as u32,
                alpha: op.scale,
                a_offset: (q_first + column) as u32,
                a_stride: width as u32,
                b_offset: (k_first + column) as u32,
                out_offset: range.start as u32,
                out_stride: keys as u32,
                ..product
            };
            let cost = share(cost, range.len() as f64 / keys as f64);
            self.emit(kernel, params, &[q, k, scores], cost)?;
        }

        let params = softmax::Params {
            rows: rows as u32,
            columns: keys as u32,
            first_row: 0,
            flags: flags_of(op),
            // Key 0 is so far behind the first of these queries.
            first_bias: ((queries - 1 - first) * heads + head) as u32,
            bias_stride: heads as u32,
            first_query: first as u32,
            first_block: head as u32 * self.head_blocks(op),
        };
        let softmax_cost = Cost {
            flops: 8 * (rows * keys) as u64,
            bytes: 3 * scores.size,
        };
        let [bias, mask, blocks] = [op.bias, op.mask, op.blocks].map(|value| self.optional(value, scores));
        let bound = [scores, bias, mask, blocks, scores];
        self.emit(softmax::Softmax, params, &bound, softmax_cost)?;

        let (out, out_first) = self.window(views.out, &query_rows, width);
        let kernel = Matmul {
            transposed: false,
            round_a: false,
            round_b: round,
        };
        for range in ranges {
            let (v, v_first) = self.window(views.v, &of_batch(&range, keys), width);
            let params = matmul::Params {
                n: head_dim as u32,
                k: range.len() as u32,
                a_offset: range.start as u32,
                a_stride: keys as u32,
                b_offset: (v_first + column) as u32,
                out_offset: (out_first + column) as u32,
                out_stride: width as u32,
                accumulate: u32::from(range.start > 0),
                ..product
            };
            let cost = share(cost, range.len() as f64 / keys as f64);
            self.emit(kernel, params, &[scores, v, out], cost)?;
        }
        Ok(())
    }
}

/// How many of `all` rows to take at a time, `most` at most: whole granules but for the last, where that is possible.
fn granules(most: usize, all: usize) -> usize {
    match most {
        _ if most >= all => all,
        GRANULE.. => most / GRANULE * GRANULE,
        _ => most.max(1),
    }
}
