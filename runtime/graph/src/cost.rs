//! Work and traffic of operations, for plans, time slices and rooflines.

use std::collections::BTreeSet;
use std::ops::{Add, AddAssign};

use crate::{Graph, Op, Requirements, Value};

/// Arithmetic and least traffic of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-adds times two (elementwise work counts a few per element).
    pub flops: u64,
    /// Bytes that must be read and written at least once.
    pub bytes: u64,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            flops: self.flops + other.flops,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Graph {
    /// Work of the operation that makes `value`.
    pub fn cost(&self, value: Value) -> Cost {
        let node = self.node(value);
        if node.op.is_leaf() {
            return Cost::default();
        }
        let elements = node.elements() as u64;
        let operands: u64 = node
            .op
            .operands()
            .iter()
            .map(|v| 4 * self.node(*v).elements() as u64)
            .sum();
        let weights = match &node.op {
            // A lookup reads as many rows as it writes.
            Op::Gather { table, .. } => node.rows() as u64 * table.row_bytes() as u64,
            op => op.matrix().map_or(0, |m| m.bytes() as u64),
        };
        let flops = match &node.op {
            Op::Linear(op) => 2 * elements * op.weight.k as u64,
            Op::Conv3d(op) => 2 * elements * op.weight.k as u64,
            Op::GroupedLinear(op) => 2 * elements * op.weight.k as u64,
            Op::TopK { logits } => elements * self.node(*logits).columns() as u64,
            Op::ExpertWeights(op) => 4 * self.node(op.logits).elements() as u64,
            // Every expert looks through all slots.
            Op::GroupByExpert { grouping, .. } => (grouping.slots * grouping.experts) as u64,
            Op::ScatterExperts { x, .. } => 2 * self.node(*x).elements() as u64,
            // Of all blocks: which are left out is known to a run alone.
            Op::Attention(op) => {
                let keys = self.node(op.k).shape[self.node(op.k).shape.len() - 2] as u64;
                4 * elements * keys
            }
            Op::Norm(_) | Op::QkNormRope(_) => 8 * elements,
            Op::Rearrange { spec, .. } => elements * spec.averaged() as u64,
            Op::Combine { inputs, .. } => 2 * elements * inputs.len() as u64,
            _ => elements,
        };
        Cost {
            flops,
            bytes: operands + weights + 4 * elements,
        }
    }

    /// What running the graph takes, before any device is asked: weights as stored, the most intermediate bytes that
    /// are live at once, states. A planner comes close to it and is never below.
    pub fn footprint(&self) -> Requirements {
        let mut needs = Requirements {
            flops: self.total_cost().flops,
            ..Requirements::default()
        };
        let mut matrices = BTreeSet::new();
        let last = self.last_uses();
        let mut freed = vec![0_u64; self.nodes.len() + 1];
        let mut live = 0;
        for (index, node) in self.nodes.iter().enumerate() {
            let bytes = 4 * node.elements() as u64;
            if let Some(matrix) = node
                .op
                .matrix()
                .filter(|m| matrices.insert((&m.name, m.rows.start, m.rows.end)))
            {
                needs.weights += matrix.bytes() as u64;
            }
            match &node.op {
                Op::Parameter { .. } | Op::Constant { .. } | Op::Fill { .. } => needs.weights += bytes,
                Op::State { .. } => needs.states += bytes,
                _ => {
                    live += bytes;
                    needs.activations = needs.activations.max(live);
                    freed[last[index]] += bytes;
                }
            }
            live -= freed[index];
        }
        for (name, value) in &self.states {
            let read = self
                .nodes
                .iter()
                .any(|n| matches!(&n.op, Op::State { name: other } if other == name));
            if !read {
                needs.states += 4 * self.node(*value).elements() as u64;
            }
        }
        needs
    }

    /// Work of the whole graph.
    pub fn total_cost(&self) -> Cost {
        self.values().fold(Cost::default(), |sum, v| sum + self.cost(v))
    }
}
