//! Attention: one kernel for heads of usual size whose keys can be bound, three for all others.

use kinora_graph::{Attention, Cost, Error, Result, Scores, Value};
use kinora_shaders::attention::{QUERY_TILE, Tile};
use kinora_shaders::{attention, flags, quantize_heads};

use super::super::Capabilities;
use super::super::chunk::share;
use super::super::emit::Emitter;
use super::super::view::View;
use super::flag;
use crate::tune::{self, Operation};

const _: () = assert!(Attention::BLOCK == attention::BLOCK as usize);

/// Which optional operands there are.
pub(super) fn flags_of(op: &Attention) -> u32 {
    flag(op.bias.is_some(), flags::BIAS)
        | flag(op.mask.is_some(), flags::MASK)
        | flag(op.blocks.is_some(), flags::BLOCKS)
}

/// Sizes of an attention, of one or more of its batches.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    batch: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) heads: usize,
    pub(super) head_dim: usize,
}

/// The matrices of such batches.
#[derive(Clone, Copy)]
pub(super) struct Views {
    pub(super) q: View,
    pub(super) k: View,
    pub(super) v: View,
    pub(super) out: View,
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
        // The kernel begins with a whole block.
        let begins = op.blocks.is_none() || self.rows_of_window(views.q, q[axes - 1]) >= Attention::BLOCK;
        let Capabilities {
            max_binding,
            storage_alignment,
            ..
        } = *self.capabilities;
        let fits = |views: &[View]| views.iter().all(|view| view.size <= max_binding);
        if op.scores == Scores::Int8 {
            return match begins && fits(&[views.v]) {
                true => self.int8(op, shape, views, cost),
                false => Err(Error::OutOfMemory {
                    what: format!("the values of int8 attention at `{}`", self.graph.node(value).label),
                    needed: views.v.size,
                    available: max_binding,
                    remedy: "the driver cannot bind them at once; leave `--attention int8` out".into(),
                }),
            };
        }
        let kernel = self.attention_kernel(op, &shape).filter(|_| begins);
        if let (Some(kernel), true) = (kernel, fits(&[views.q, views.k, views.v])) {
            return self.fused(op, kernel, shape, views, cost);
        }
        let cost = share(cost, 1.0 / shape.batch as f64);
        for batch in 0..shape.batch {
            let one = views.batch(batch, &shape);
            let aligned = |view: &View| view.offset.is_multiple_of(storage_alignment);
            let bound = fits(&[one.k, one.v]) && [one.q, one.k, one.v, one.out].iter().all(aligned);
            match kernel {
                Some(kernel) if bound => self.fused(op, kernel, Shape { batch: 1, ..shape }, one, cost)?,
                _ => self.with_scores(op, shape, views, batch, cost)?,
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

    /// Blocks of a head; 0 where those of one serve all.
    pub(super) fn head_blocks(&self, op: &Attention) -> u32 {
        match op.blocks.map(|blocks| self.graph.node(blocks).shape.as_slice()) {
            Some([_, down, across]) => (down * across) as u32,
            _ => 0,
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
                flags: flags_of(op),
                scale: op.scale,
                first_block: (chunk.rows.start / Attention::BLOCK) as u32,
                head_blocks: self.head_blocks(op),
                ..Default::default()
            };
            let q = chunk.view(views.q, q_width);
            let bound = [
                q,
                views.k,
                views.v,
                self.optional(op.bias, q),
                self.optional(op.mask, q),
                self.optional(op.blocks, q),
                chunk.view(views.out, width),
            ];
            self.emit(kernel, params, &bound, chunk.cost(cost))?;
        }
        Ok(())
    }
}
