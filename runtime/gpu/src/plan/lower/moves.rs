//! Copies: rearrangement, concatenation, lookup.

use kinora_graph::{Cost, Matrix, Rearrange, Result, Value};
use kinora_shaders::{gather, rearrange};

use super::super::chunk::share;
use super::super::emit::Emitter;
use super::super::view::View;

/// Elements between possible first elements of a binding.
const STEP: usize = 64;

impl Emitter<'_> {
    pub(super) fn rearrange(&mut self, value: Value, x: Value, spec: &Rearrange) -> Result<()> {
        let view = self.view(x);
        let elements = self.graph.node(value).elements();
        let contiguous = spec.reduce == 0
            && match (spec.sizes.as_slice(), spec.strides.as_slice()) {
                ([], []) => true,
                ([_], [stride]) => *stride == 1,
                _ => false,
            };
        if contiguous {
            let part = view.part(spec.offset, elements);
            if part.offset.is_multiple_of(4 * STEP as u64) {
                self.place(value, part);
                return Ok(());
            }
            // A part of a parameter (one bias of a fused projection) becomes a constant of its own.
            if let Some((source, first)) = self.fixed_source(view) {
                let first = first + spec.offset;
                let part = self.fixed(source, first..first + elements);
                self.place(value, part);
                return Ok(());
            }
        }
        let cost = self.graph.cost(value);
        let out = self.result(value);
        self.copy_by(spec, view, out, 0, cost)
    }

    pub(super) fn concat(&mut self, value: Value, inputs: &[Value]) -> Result<()> {
        let whole = self.graph.cost(value);
        let total = self.graph.node(value).elements();
        let inputs: Vec<_> = inputs
            .iter()
            .map(|v| (self.view(*v), self.graph.node(*v).elements()))
            .collect();
        let out = self.result(value);
        let mut place = 0;
        for (view, elements) in inputs {
            let cost = share(whole, elements as f64 / total as f64);
            self.copy_by(&line(elements), view, out, place, cost)?;
            place += elements;
        }
        Ok(())
    }

    /// The same elements elsewhere.
    pub(super) fn copy(&mut self, from: View, to: View) -> Result<()> {
        let cost = Cost {
            flops: 0,
            bytes: from.size + to.size,
        };
        self.copy_by(&line((from.size / 4) as usize), from, to, 0, cost)
    }

    /// `spec` of `x`, to the elements of `out` from `place` on.
    fn copy_by(&mut self, spec: &Rearrange, x: View, out: View, place: usize, cost: Cost) -> Result<()> {
        let outputs = spec.outputs();
        // Cut along the outermost axis that stays.
        let kept = spec.sizes.len() - spec.reduce;
        let (rows, stride) = match kept {
            0 => (1, 0),
            _ => (spec.sizes[0], spec.strides[0]),
        };
        let inner = outputs / rows;
        let inner_extent = spec.extent() - spec.offset - (rows - 1) * stride;
        let params = rearrange::Params::new(&spec.sizes, &spec.strides, spec.offset, spec.reduce);
        for chunk in self.chunks(rows, 1, &[(x, stride.max(1)), (out, inner)], cost) {
            let first = chunk.rows.start * inner;
            let count = chunk.rows.len() * inner;
            let mut params = rearrange::Params {
                count: count as u32,
                first: first as u32,
                out_offset: place as u32,
                ..params
            };
            let mut views = [x, out];
            if chunk.is_windowed() {
                // Parts begin at the last possible place before what they need; what they skip is taken off
                // the offsets, which wrap around as the kernel's sums do.
                let read = spec.offset + chunk.rows.start * stride;
                let read_end = read + (chunk.rows.len() - 1) * stride + inner_extent;
                let read = read / STEP * STEP;
                let write = (place + first) / STEP * STEP;
                views = [
                    x.part(read, read_end - read),
                    out.part(write, place + first + count - write),
                ];
                params.offset = (spec.offset as u32).wrapping_sub(read as u32);
                params.out_offset = (place as u32).wrapping_sub(write as u32);
            }
            self.emit(rearrange::Rearrange, params, &views, chunk.cost(cost))?;
        }
        Ok(())
    }

    pub(super) fn gather(&mut self, value: Value, ids: Value, table: &Matrix) -> Result<()> {
        let cost = self.graph.cost(value);
        if self.graph.node(ids).op.is_leaf() {
            self.limit(ids, table.n())?;
        }
        let (rows, k) = (self.graph.node(ids).elements(), table.k);
        let ids = self.view(ids);
        let out = self.result(value);
        let kernel = gather::Gather {
            weight: super::products::stored(table),
        };
        let tables = self.weight_parts(table, 1);
        for chunk in self.chunks(rows, 1, &[(ids, 1), (out, k)], cost) {
            let cost = share(chunk.cost(cost), 1.0 / tables.len() as f64);
            for (range, weight) in &tables {
                let params = gather::Params {
                    rows: chunk.len(),
                    k: k as u32,
                    first_row: chunk.first(),
                    first_weight_row: 0,
                    first_id: range.start as u32,
                    ids: range.len() as u32,
                    ..Default::default()
                };
                let views = [*weight, chunk.view(ids, 1), chunk.view(out, k)];
                self.emit(kernel, params, &views, cost)?;
            }
        }
        Ok(())
    }
}

/// `elements` in a row.
fn line(elements: usize) -> Rearrange {
    Rearrange {
        sizes: vec![elements],
        strides: vec![1],
        offset: 0,
        reduce: 0,
    }
}
