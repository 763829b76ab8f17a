//! A compiled graph.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use kinora_graph::{Cost, Error, Graph, MatrixLayout, Op, Requirements, Result};
use kinora_quant::Weights;

/// A graph with everything that is looked up once.
pub(crate) struct Program {
    pub(crate) graph: Graph,
    pub(crate) weights: Arc<dyn Weights>,
    /// The small tensors, decoded, by name.
    pub(crate) parameters: BTreeMap<String, Arc<Vec<f32>>>,
    pub(crate) last_uses: Vec<usize>,
    pub(crate) requirements: Requirements,
}

impl Program {
    /// Checks that all weights are there and decodes the parameters; `known` finds those of other programs.
    pub(crate) fn new(
        graph: Graph,
        weights: &Arc<dyn Weights>,
        known: impl Fn(&str) -> Option<Arc<Vec<f32>>>,
    ) -> Result<Self> {
        let mut parameters = BTreeMap::new();
        for node in graph.nodes() {
            if let Some(matrix) = node.op.matrix() {
                let info = weights
                    .info(&matrix.name)
                    .ok_or_else(|| weights.missing(&matrix.name))?;
                let expected = match matrix.layout {
                    MatrixLayout::RowMajor => vec![matrix.rows.end, matrix.k],
                    MatrixLayout::ChannelsLast { channels, taps } => vec![matrix.rows.end, channels, taps],
                };
                if matrix.rows.end * matrix.k > info.elements() || info.dtype != matrix.dtype {
                    return Err(mismatch(&**weights, &matrix.name, expected, info.shape));
                }
            }
            if let Op::Parameter { name } = &node.op {
                let values = match parameters.get(name).cloned().or_else(|| known(name)) {
                    Some(values) => values,
                    None => Arc::new(weights.tensor(name)?.to_f32()?),
                };
                if values.len() != node.elements() {
                    let found = weights.info(name).map(|info| info.shape).unwrap_or_default();
                    return Err(mismatch(&**weights, name, node.shape.clone(), found));
                }
                parameters.insert(name.clone(), values);
            }
        }
        let last_uses = graph.last_uses();
        let requirements = requirements(&graph, &last_uses);
        Ok(Self {
            graph,
            weights: weights.clone(),
            parameters,
            last_uses,
            requirements,
        })
    }
}

fn mismatch(weights: &dyn Weights, name: &str, expected: Vec<usize>, found: Vec<usize>) -> Error {
    Error::WeightShape {
        origin: weights.origin(),
        name: name.to_owned(),
        expected,
        found,
    }
}

/// Sums up what is read, and the most that is alive at any time.
fn requirements(graph: &Graph, last_uses: &[usize]) -> Requirements {
    let mut total = Requirements::default();
    let Cost { flops, .. } = graph.total_cost();
    total.flops = flops;
    let mut seen = HashSet::new();
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    // Bytes that become free after each node.
    let mut freed = vec![0; graph.nodes().len() + 1];
    let mut live = 0;
    for (index, node) in graph.nodes().iter().enumerate() {
        let bytes = 4 * node.elements() as u64;
        if let Some(matrix) = node.op.matrix()
            && seen.insert((matrix.name.as_str(), matrix.rows.clone()))
        {
            total.weights += matrix.bytes() as u64;
        }
        match &node.op {
            Op::Parameter { name } => {
                if seen.insert((name, 0..0)) {
                    total.weights += bytes;
                }
            }
            Op::Constant { .. } => total.weights += bytes,
            Op::State { name } => {
                states.insert(name, bytes);
            }
            _ => {
                live += bytes;
                freed[last_uses[index]] += bytes;
            }
        }
        total.activations = total.activations.max(live);
        live -= freed[index];
    }
    for (name, value) in graph.state_updates() {
        let bytes = 4 * graph.node(*value).elements() as u64;
        let old = states.entry(name).or_default();
        *old = bytes.max(*old);
    }
    total.states = states.values().sum();
    total
}
