//! Single operations cut out of a graph, so that two executors can be compared one by one.

use crate::{Graph, Node, Op, Value};

impl Graph {
    /// A graph of the one operation that makes `value`: operands that the host can give become
    /// inputs named by the operand's index in this graph, parameters and constants stay.
    /// The result is the output `"out"`.
    pub fn isolate(&self, value: Value) -> Self {
        let mut graph = Self::default();
        let mut map = std::collections::BTreeMap::new();
        let node = self.node(value).clone();
        let op = node.op.map_operands(&mut |operand| {
            *map.entry(operand).or_insert_with(|| {
                let source = self.node(operand);
                let op = match &source.op {
                    keep @ (Op::Parameter { .. } | Op::Constant { .. } | Op::Fill { .. }) => keep.clone(),
                    _ => Op::Input {
                        name: operand.index().to_string(),
                    },
                };
                graph.nodes.push(Node {
                    op,
                    beside: false,
                    ..source.clone()
                });
                Value(graph.nodes.len() as u32 - 1)
            })
        });
        let beside = false;
        graph.nodes.push(Node { op, beside, ..node });
        graph.outputs.insert("out".into(), Value(graph.nodes.len() as u32 - 1));
        graph
    }
}
