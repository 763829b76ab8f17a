//! Operations become dispatches: one exhaustive match.

mod attention;
mod experts;
mod factor;
mod heads;
mod moves;
mod parts;
mod products;
mod rows;
mod together;
mod with_scores;

use kinora_graph::{Activation, Graph, Op, Precision, Result, Rows, Value};
use kinora_shaders as shaders;

use super::emit::Emitter;
use super::view::{Target, View};
use super::{Buffer, Capabilities, Options, Plan, Source};
use crate::tune::Table;

/// Fills up to this many elements are kept with the constants; larger ones are made at each run.
const POOLED_FILL: usize = 1 << 14;

pub(super) fn lower(graph: &Graph, capabilities: &Capabilities, table: &Table, options: &Options) -> Result<Plan> {
    let mut emitter = Emitter::new(graph, capabilities, table, options);
    let needed = needed(graph);
    for value in graph.values() {
        // Some values come with others that are named together with them.
        if needed[value.index()] && !emitter.is_placed(value) {
            emitter.value(value)?;
        }
    }
    // States change together at the end: what one takes from another must be set aside before.
    for value in graph.state_updates().values() {
        let view = emitter.view(*value);
        if matches!(view.target, Target::Placed(Buffer::State(_))) {
            emitter.begin(*value);
            let copy = emitter.temp(graph.node(*value).elements());
            emitter.copy(view, copy)?;
            emitter.place(*value, copy);
        }
    }
    emitter.finish()
}

impl Emitter<'_> {
    fn value(&mut self, value: Value) -> Result<()> {
        let graph = self.graph;
        let node = graph.node(value);
        if !node.op.is_leaf() {
            self.begin(value);
        }
        match &node.op {
            Op::Input { .. } => {
                self.input(value);
                Ok(())
            }
            Op::State { name } => {
                let view = self.state(name, &node.shape);
                self.place(value, view);
                Ok(())
            }
            Op::Parameter { name } => {
                self.constant(value, Source::Parameter(name.clone()));
                Ok(())
            }
            Op::Constant { .. } => {
                self.constant(value, Source::Constant(value.index()));
                Ok(())
            }
            Op::Fill { value: number } if node.elements() <= POOLED_FILL => {
                self.constant(value, Source::Fill(number.to_bits()));
                Ok(())
            }
            Op::Fill { value: number } => self.fill(value, *number),
            Op::Linear(op) => match self.joint(value) {
                Some(joint) => self.linears(&joint),
                None => self.linear(value, op),
            },
            Op::Norm(op) => self.norm(value, op),
            Op::QkNormRope(op) => self.qk_norm_rope(value, op),
            Op::Attention(op) => self.attention(value, op),
            Op::Conv3d(op) => self.conv3d(value, op),
            Op::Gather { ids, table } => self.gather(value, *ids, table),
            Op::TopK { logits } => self.top_k(value, *logits),
            Op::ExpertWeights(op) => self.expert_weights(value, op),
            Op::GroupByExpert { ids, grouping } => self.group_by_expert(value, *ids, *grouping),
            Op::GroupedLinear(op) => self.grouped_linear(value, op),
            Op::ScatterExperts {
                x,
                groups,
                grouping,
                weights,
            } => self.scatter_experts(value, *x, *groups, *grouping, *weights),
            Op::Rearrange { x, spec } => self.rearrange(value, *x, spec),
            Op::Concat { inputs } => self.concat(value, inputs),
            Op::Unary { op, x } => self.unary(value, *op, *x),
            Op::Binary { op, a, b } => self.binary(value, *op, *a, *b),
            Op::Combine { coefficients, inputs } => self.combine(value, *coefficients, inputs),
        }
    }

    fn constant(&mut self, value: Value, source: Source) {
        let view = self.fixed(source, 0..self.graph.node(value).elements());
        self.place(value, view);
    }

    /// Whether products round their operands.
    fn rounds(&self) -> bool {
        self.options.precision == Precision::F16
    }

    /// Elements of a product from which on its tiles are large.
    fn large_from(&self) -> u64 {
        let from = self.capabilities.large_from;
        // Large tiles of square matrices have twice the columns, and leave half the parallel work.
        match self.factors().square() {
            Some(_) => from.saturating_mul(2),
            None => from,
        }
    }

    /// How the factors of products with weights are held.
    fn factors(&self) -> shaders::Factors {
        shaders::Factors::choose(self.rounds(), self.capabilities.features, self.capabilities.subgroup)
    }

    /// An operand that may be absent; `other` is bound in its place.
    fn optional(&self, value: Option<Value>, other: View) -> View {
        value.map_or(other, |v| self.view(v))
    }

    /// The binding of row indices: `None` where row 0 serves all.
    fn row_indices(&mut self, rows: Rows, table: Value) -> Result<Option<View>> {
        match rows {
            Rows::First => Ok(None),
            Rows::Indexed(value) => {
                self.limit(value, self.graph.node(table).rows())?;
                Ok(Some(self.view(value)))
            }
        }
    }
}

/// The kernels' name of an activation.
fn activation(activation: Activation) -> shaders::Activation {
    match activation {
        Activation::None => shaders::Activation::None,
        Activation::Silu => shaders::Activation::Silu,
        Activation::GeluTanh => shaders::Activation::GeluTanh,
        Activation::GeluErf => shaders::Activation::GeluErf,
    }
}

/// `bit` where `condition` holds.
fn flag(condition: bool, bit: u32) -> u32 {
    if condition { bit } else { 0 }
}

/// Values that some output or state needs; all others are never computed.
fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes().len()];
    for value in graph.outputs().values().chain(graph.state_updates().values()) {
        needed[value.index()] = true;
    }
    for value in graph.values().collect::<Vec<_>>().into_iter().rev() {
        let node = graph.node(value);
        // Inputs are always given and checked, even where nothing reads them.
        needed[value.index()] |= matches!(node.op, Op::Input { .. });
        if needed[value.index()] {
            for operand in node.op.operands() {
                needed[operand.index()] = true;
            }
        }
    }
    needed
}
