//! A compiled graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinora_graph::{Error, Graph, MatrixLayout, Op, Requirements, Result};
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
        let requirements = graph.footprint();
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
