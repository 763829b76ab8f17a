//! Norms and elementwise operations: each row, or element, by itself.

use kinora_graph::{BinaryOp, Norm, NormKind, Result, UnaryOp, Value};
use kinora_shaders::{binary, combine, fill, flags, norm, unary};

use super::super::emit::Emitter;
use super::{activation, flag};

impl Emitter<'_> {
    pub(super) fn norm(&mut self, value: Value, op: &Norm) -> Result<()> {
        let node = self.graph.node(value);
        let (rows, columns) = (node.rows(), node.columns());
        let cost = self.graph.cost(value);
        let x = self.view(op.x);
        let (weight, bias) = (self.optional(op.weight, x), self.optional(op.bias, x));
        let (table, indices) = match &op.modulation {
            None => (None, None),
            Some(m) => (Some(self.view(m.table)), self.row_indices(m.rows, m.table)?),
        };
        let (shift, scale, stride) = match &op.modulation {
            None => (0, 0, 0),
            Some(m) => (m.shift, m.scale, self.graph.node(m.table).columns()),
        };
        let by_fours = [columns, shift, scale, stride].iter().all(|n| n.is_multiple_of(4));
        let out = self.result(value);
        let kernel = norm::Norm {
            kind: match op.kind {
                NormKind::Layer => norm::NormKind::Layer,
                NormKind::Rms => norm::NormKind::Rms,
                NormKind::L2 => norm::NormKind::L2,
            },
            activation: activation(op.activation),
            lanes: norm::Lanes::choose(columns as u32, self.capabilities.software && by_fours),
            by_fours,
        };
        let mut operands = vec![(x, columns), (out, columns)];
        operands.extend(indices.map(|v| (v, 1)));
        for chunk in self.chunks(rows, 1, &operands, cost) {
            let params = norm::Params {
                rows: chunk.len(),
                columns: columns as u32,
                first_row: chunk.first(),
                flags: flag(op.weight.is_some(), flags::WEIGHT)
                    | flag(op.bias.is_some(), flags::BIAS)
                    | flag(table.is_some(), flags::TABLE)
                    | flag(indices.is_some(), flags::ROWS),
                shift_column: shift as u32,
                scale_column: scale as u32,
                table_stride: stride as u32,
                eps: op.eps,
            };
            let part = chunk.view(x, columns);
            let views = [
                part,
                op.weight.map_or(part, |_| weight),
                op.bias.map_or(part, |_| bias),
                table.unwrap_or(part),
                indices.map_or(part, |v| chunk.view(v, 1)),
                chunk.view(out, columns),
            ];
            self.emit(kernel, params, &views, chunk.cost(cost))?;
        }
        Ok(())
    }

    pub(super) fn fill(&mut self, value: Value, number: f32) -> Result<()> {
        self.begin(value);
        let elements = self.graph.node(value).elements();
        let cost = kinora_graph::Cost {
            flops: 0,
            bytes: 4 * elements as u64,
        };
        let out = self.result(value);
        for chunk in self.chunks(elements, 64, &[(out, 1)], cost) {
            let params = fill::Params {
                count: chunk.len(),
                first: chunk.first(),
                value: number,
                ..Default::default()
            };
            let views = [chunk.view(out, 1)];
            self.emit(fill::Fill, params, &views, chunk.cost(cost))?;
        }
        Ok(())
    }

    pub(super) fn unary(&mut self, value: Value, op: UnaryOp, x: Value) -> Result<()> {
        let cost = self.graph.cost(value);
        let x = self.view(x);
        let out = self.result(value);
        let (kernel, low, high) = match op {
            UnaryOp::Activation(a) => (unary::Unary::Activation(activation(a)), 0.0, 0.0),
            UnaryOp::Clamp { low, high } => (unary::Unary::Clamp, low, high),
        };
        let elements = self.graph.node(value).elements();
        for chunk in self.chunks(elements, 64, &[(x, 1), (out, 1)], cost) {
            let params = unary::Params {
                count: chunk.len(),
                first: chunk.first(),
                low,
                high,
            };
            let views = [chunk.view(x, 1), chunk.view(out, 1)];
            self.emit(kernel, params, &views, chunk.cost(cost))?;
        }
        Ok(())
    }

    pub(super) fn binary(&mut self, value: Value, op: BinaryOp, a: Value, b: Value) -> Result<()> {
        let cost = self.graph.cost(value);
        let elements = self.graph.node(value).elements();
        let b_count = self.graph.node(b).elements();
        let repeats = b_count != elements;
        let (a, b) = (self.view(a), self.view(b));
        let out = self.result(value);
        let kernel = match op {
            BinaryOp::Add => binary::Binary::Add,
            BinaryOp::Mul => binary::Binary::Mul,
        };
        // A repeated row must meet the same columns in each chunk: cut between rows.
        let width = if repeats { b_count } else { 1 };
        let mut operands = vec![(a, width), (out, width)];
        if !repeats {
            operands.push((b, 1));
        }
        for chunk in self.chunks(elements / width, 64, &operands, cost) {
            let part = if repeats { b } else { chunk.view(b, 1) };
            let whole = !repeats && chunk.is_windowed();
            let params = binary::Params {
                count: chunk.len() * width as u32,
                first: chunk.first() * width as u32,
                b_count: if whole { chunk.len() } else { b_count as u32 },
                ..Default::default()
            };
            let views = [chunk.view(a, width), part, chunk.view(out, width)];
            self.emit(kernel, params, &views, chunk.cost(cost))?;
        }
        Ok(())
    }

    pub(super) fn combine(&mut self, value: Value, coefficients: Value, inputs: &[Value]) -> Result<()> {
        let cost = self.graph.cost(value);
        let elements = self.graph.node(value).elements();
        let coefficients = self.view(coefficients);
        let inputs: Vec<_> = inputs.iter().map(|v| self.view(*v)).collect();
        let out = self.result(value);
        let mut operands: Vec<_> = inputs.iter().map(|v| (*v, 1)).collect();
        operands.push((out, 1));
        for chunk in self.chunks(elements, 64, &operands, cost) {
            let params = combine::Params {
                count: chunk.len(),
                first: chunk.first(),
                inputs: inputs.len() as u32,
                ..Default::default()
            };
            let input = |i: usize| chunk.view(*inputs.get(i).unwrap_or(&inputs[0]), 1);
            let views = [coefficients, input(0), input(1), input(2), input(3), chunk.view(out, 1)];
            self.emit(combine::Combine, params, &views, chunk.cost(cost))?;
        }
        Ok(())
    }
}
