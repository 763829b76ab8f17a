//! Operations that a model names together, in one dispatch.

use kinora_graph::{Activation, Epilogue, Linear, Op, QkNormRope, Result, Value};
use kinora_shaders::{flags, linear, norm, qk_norm_rope};

use super::super::arena::ALIGNMENT;
use super::super::emit::Emitter;
use super::super::view::View;
use super::super::{TensorRows, Weight};
use super::flag;
use super::products::stored;

/// Linear layers that one dispatch computes.
pub(super) struct Joint<'g> {
    values: Vec<Value>,
    first: &'g Linear,
    weight: Weight,
    /// That of the first, with the others behind it, and the elements from one to the next.
    bias: Option<(View, usize)>,
}

impl<'g> Emitter<'g> {
    /// `value` and those that are named together with it, as far as one dispatch can make them; `None` where that is
    /// `value` alone. Their weights must be stored alike, to be one matrix of more rows, and nothing may have to be cut:
    /// work of several time slices gains nothing by being one operation.
    pub(super) fn joint(&self, value: Value) -> Option<Joint<'g>> {
        let graph = self.graph;
        let linear = |value: Value| match &graph.node(value).op {
            Op::Linear(op) => Some(op),
            _ => None,
        };
        let first = linear(value)?;
        let alike = |other: &Linear| {
            let form = |op: &Linear| (op.x, op.precise, op.weight_only, op.bias.is_some(), op.epilogue);
            let stored = |op: &Linear| (op.weight.dtype, op.weight.layout, op.weight.k, op.weight.n());
            form(other) == form(first) && stored(other) == stored(first)
        };
        let together = graph.together(value).into_iter();
        let values: Vec<_> = together.take_while(|v| linear(*v).is_some_and(alike)).collect();
        let layers: Vec<_> = values.iter().filter_map(|v| linear(*v)).collect();
        let rows = |op: &&Linear| TensorRows {
            name: op.weight.name.clone(),
            rows: op.weight.rows.clone(),
        };
        let (k, dtype) = (first.weight.k, stored(&first.weight).dtype());
        let weight = Weight {
            parts: layers.iter().map(rows).collect(),
            k,
            layout: first.weight.layout,
            dtype,
        };
        let biases: Option<Vec<_>> = layers.iter().map(|op| op.bias.map(|v| self.view(v))).collect();
        let bias = match &biases {
            None => None,
            Some(biases) => Some(at_equal_distances(biases)?),
        };
        let n = first.weight.n();
        let words = n.is_multiple_of(4) && (n * dtype.row_bytes(k)?).is_multiple_of(4);
        let out = ALIGNMENT.max(4 * graph.node(value).elements() as u64) * values.len() as u64;
        let largest = weight.bytes().max(out).max(4 * graph.node(first.x).elements() as u64);
        let seconds: f64 = values
            .iter()
            .map(|v| self.capabilities.speed.seconds(graph.cost(*v)))
            .sum();
        let plain = first.epilogue == Epilogue::Activation(Activation::None);
        let whole = largest <= self.capabilities.max_binding && seconds <= self.options.slice;
        (values.len() > 1 && plain && words && whole).then_some(Joint {
            values,
            first,
            weight,
            bias,
        })
    }

    /// One product with all the weights, whose columns go to the values that they belong to.
    pub(super) fn linears(&mut self, joint: &Joint<'_>) -> Result<()> {
        let (values, op) = (&joint.values, joint.first);
        for value in &values[1..] {
            self.also(*value);
        }
        let node = self.graph.node(values[0]);
        let (m, width) = (node.rows() as u32, node.columns() as u32);
        let n = width * values.len() as u32;
        let tile = self.linear_tile(op, node.rows(), n as usize);
        let (arithmetic, x, _) = self.factors_of(op, tile)?;
        // As each would be alone: whether they are in one dispatch must not change their bits.
        let part_k = self.part_of_k(arithmetic, [node.rows(), width as usize, op.weight.k]);
        let shape = [node.rows(), n as usize, op.weight.k];
        let kernel = linear::Linear {
            arithmetic,
            epilogue: linear::Epilogue::Apart,
            tile: self.linear_tile_of(arithmetic, shape, part_k, tile),
        };
        // Values begin where they can be bound.
        let elements = node.elements();
        let part_stride = elements.next_multiple_of(ALIGNMENT as usize / 4);
        let out = self.temp(part_stride * values.len());
        for (part, value) in values.iter().enumerate() {
            self.place(*value, out.part(part * part_stride, elements));
        }
        let params = linear::Params {
            m,
            n,
            k: op.weight.k as u32,
            out_stride: width,
            part_stride: part_stride as u32,
            bias_stride: joint.bias.map_or(0, |(_, stride)| stride as u32),
            flags: flag(joint.bias.is_some(), flags::BIAS),
            ..Default::default()
        };
        let bias = joint.bias.map_or(x, |(bias, _)| bias);
        let views = [self.weight(joint.weight.clone()), x, bias, x, x, x, out];
        let cost = self.begun();
        self.emit_linear(kernel, params, part_k, views, cost)
    }

    /// q's norm and rotation, and k's where they are named together.
    pub(super) fn qk_norm_rope(&mut self, value: Value, op: &'g QkNormRope) -> Result<()> {
        let other = self.graph.together(value).get(1).copied();
        let pair = other.and_then(|other| match &self.graph.node(other).op {
            Op::QkNormRope(second) if Self::alike(op, second) => Some((other, second)),
            _ => None,
        });
        let mut operations = vec![(value, op)];
        operations.extend(pair);
        if let Some((other, _)) = pair {
            self.also(other);
        }
        let node = self.graph.node(value);
        let (rows, columns) = (node.rows(), node.columns());
        let half = columns / op.heads / 2;
        let last = operations[operations.len() - 1].1;
        let [x0, x1, scale0, scale1] = [op.x, last.x, op.weight, last.weight].map(|v| self.view(v));
        let [cos, sin] = [op.cos, op.sin].map(|v| self.view(v));
        let outs: Vec<_> = operations
            .iter()
            .map(|(value, op)| self.result_over(*value, op.x))
            .collect();
        let (out0, out1) = (outs[0], outs[outs.len() - 1]);
        let kernel = qk_norm_rope::QkNormRope {
            lanes: norm::Lanes::choose(columns as u32, self.capabilities.software),
        };
        let cost = self.begun();
        let operands = [(x0, columns), (out0, columns), (cos, half), (sin, half)];
        for chunk in self.chunks(rows, 1, &operands, cost) {
            let params = qk_norm_rope::Params {
                rows: chunk.len(),
                first_row: chunk.first(),
                heads: op.heads as u32,
                head_dim: 2 * half as u32,
                eps: op.eps,
                operands: operations.len() as u32,
                ..Default::default()
            };
            let views = [
                chunk.view(x0, columns),
                chunk.view(x1, columns),
                scale0,
                scale1,
                chunk.view(cos, half),
                chunk.view(sin, half),
                chunk.view(out0, columns),
                chunk.view(out1, columns),
            ];
            self.emit(kernel, params, &views, chunk.cost(cost))?;
        }
        Ok(())
    }

    /// Whether two norms differ in nothing but what they read.
    fn alike(a: &QkNormRope, b: &QkNormRope) -> bool {
        (a.heads, a.cos, a.sin, a.eps.to_bits()) == (b.heads, b.cos, b.sin, b.eps.to_bits())
    }
}

/// The parts of one buffer from the first to the last, and the elements from one to the next, where these are always as
/// many.
fn at_equal_distances(views: &[View]) -> Option<(View, usize)> {
    let (first, last) = (views[0], views[views.len() - 1]);
    let distances: Vec<_> = views
        .windows(2)
        .map(|pair| pair[1].offset.checked_sub(pair[0].offset))
        .collect();
    let alike = views.iter().all(|v| v.target == first.target) && distances.windows(2).all(|pair| pair[0] == pair[1]);
    let distance = distances.first().map_or(Some(0), |d| *d).filter(|_| alike)?;
    let size = last.offset - first.offset + last.size;
    Some((View { size, ..first }, distance as usize / 4))
}
