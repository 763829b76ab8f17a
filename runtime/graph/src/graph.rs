//! A finished graph.

use std::collections::BTreeMap;
use std::fmt;

use crate::{ElementType, Op};

/// The result of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) u32);

impl Value {
    /// Index of the node that makes the value.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One operation and its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Shape of the result.
    pub shape: Vec<usize>,
    /// Element type of the result.
    pub element_type: ElementType,
    /// Where in the model: the scope path, e.g. `blocks.3.attn1.to_q`.
    pub label: String,
    /// Whether the model names the operation together with the one before: neither reads the other, both are of one kind
    /// and shape, and an executor may compute them at once. What comes out is the same.
    pub beside: bool,
}

impl Node {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The last dimension.
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Product of all dimensions but the last.
    pub fn rows(&self) -> usize {
        self.shape[..self.shape.len().saturating_sub(1)].iter().product()
    }
}

/// Operations in an order in which they can run: operands come first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: BTreeMap<String, Value>,
    pub(crate) states: BTreeMap<String, Value>,
    pub(crate) taps: BTreeMap<String, Value>,
}

impl Graph {
    /// All nodes, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// `value` and those behind that are named together with it.
    pub fn together(&self, value: Value) -> Vec<Value> {
        let behind = self.nodes[value.index() + 1..].iter().take_while(|node| node.beside);
        (0..=behind.count() as u32).map(|i| Value(value.0 + i)).collect()
    }

    /// The node that makes `value`.
    pub fn node(&self, value: Value) -> &Node {
        &self.nodes[value.index()]
    }

    /// All values, in order.
    pub fn values(&self) -> impl Iterator<Item = Value> + use<> {
        (0..self.nodes.len() as u32).map(Value)
    }

    /// Values handed back to the host, by name.
    pub fn outputs(&self) -> &BTreeMap<String, Value> {
        &self.outputs
    }

    /// Values kept as states when a run ends, by name.
    pub fn state_updates(&self) -> &BTreeMap<String, Value> {
        &self.states
    }

    /// Values named for dumps and verification.
    pub fn taps(&self) -> &BTreeMap<String, Value> {
        &self.taps
    }

    /// Names, shapes and types of the inputs.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, Value)> {
        self.values().filter_map(|v| match &self.node(v).op {
            Op::Input { name } => Some((name.as_str(), v)),
            _ => None,
        })
    }

    /// For each node, the index of the last node that reads it; outputs and state updates live to
    /// the end (`nodes().len()`), unread values to their own index.
    pub fn last_uses(&self) -> Vec<usize> {
        let mut last: Vec<usize> = (0..self.nodes.len()).collect();
        for (index, node) in self.nodes.iter().enumerate() {
            for operand in node.op.operands() {
                last[operand.index()] = index;
            }
        }
        for value in self.outputs.values().chain(self.states.values()) {
            last[value.index()] = self.nodes.len();
        }
        last
    }

    /// The same graph with every computed value as an output, named by its index: what
    /// comparing two executors needs.
    pub fn with_all_outputs(&self) -> Self {
        let mut graph = self.clone();
        graph.outputs = self
            .values()
            .filter(|v| !self.node(*v).op.is_leaf())
            .map(|v| (format!("{:05}", v.index()), v))
            .collect();
        graph
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, node) in self.nodes.iter().enumerate() {
            let operands: Vec<String> = node.op.operands().iter().map(|v| format!("%{}", v.0)).collect();
            writeln!(
                f,
                "%{index} = {}({}) {:?} {}",
                node.op.name(),
                operands.join(", "),
                node.shape,
                node.label
            )?;
        }
        for (name, value) in &self.outputs {
            writeln!(f, "output {name} = %{}", value.0)?;
        }
        for (name, value) in &self.states {
            writeln!(f, "state {name} = %{}", value.0)?;
        }
        Ok(())
    }
}
