//! Work and traffic of operations, for plans, time slices and rooflines.

use std::ops::{Add, AddAssign};

use crate::{Graph, Op, Value};

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
            Op::Gather { table, .. } => elements * table.dtype.size() as u64,
            op => op.matrix().map_or(0, |m| m.bytes() as u64),
        };
        let flops = match &node.op {
            Op::Linear(op) => 2 * elements * op.weight.k as u64,
            Op::Conv3d(op) => 2 * elements * op.weight.k as u64,
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

    /// Work of the whole graph.
    pub fn total_cost(&self) -> Cost {
        self.values()
            .fold(Cost::default(), |sum, v| sum + self.cost(v))
    }
}
