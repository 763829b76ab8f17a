//! Operations of layers with experts.

use std::ops::Range;

use super::{Builder, Scope};
use crate::experts::{ExpertWeights, GroupedLinear, Grouping, Scoring, Source};
use crate::{Activation, ElementType, MatrixLayout, Op, Result, Value};

impl Builder<'_> {
    /// The `k` highest of each row of `logits` `[T, E]`, highest first, of equal ones the first: ids `[T, k]`.
    pub fn top_k(&mut self, scope: &Scope, name: &str, logits: Value, k: usize) -> Result<Value> {
        self.label(scope, name);
        let &[tokens, experts] = self.shape(logits) else {
            return Err(self.shape_error("top_k", format!("logits must be [T, E], not {:?}", self.shape(logits))));
        };
        if k == 0 || k > experts {
            return Err(self.shape_error("top_k", format!("{k} of {experts} experts cannot be chosen")));
        }
        Ok(self.push_typed(Op::TopK { logits }, vec![tokens, k], ElementType::U32))
    }

    /// See [`ExpertWeights`].
    pub fn expert_weights(&mut self, scope: &Scope, name: &str, op: ExpertWeights) -> Result<Value> {
        self.label(scope, name);
        let tokens = self.graph.node(op.logits).rows();
        let &[rows, k] = self.shape(op.ids) else {
            return Err(self.shape_error(
                "expert_weights",
                format!("ids must be [T, k], not {:?}", self.shape(op.ids)),
            ));
        };
        if rows != tokens || !matches!(self.graph.node(op.ids).op, Op::TopK { .. }) {
            let why = format!(
                "ids {:?} are no choice among logits {:?}",
                self.shape(op.ids),
                self.shape(op.logits)
            );
            return Err(self.shape_error("expert_weights", why));
        }
        Ok(self.push(Op::ExpertWeights(op), vec![tokens, k]))
    }

    /// Sorts the slots of `ids` (a result of [`Self::top_k`]) by expert, see [`Grouping`].
    pub fn group_by_expert(&mut self, scope: &Scope, name: &str, ids: Value) -> Result<Value> {
        self.label(scope, name);
        let Op::TopK { logits } = self.graph.node(ids).op else {
            return Err(self.shape_error("group_by_expert", "the ids must be a choice of experts".into()));
        };
        let grouping = Grouping {
            slots: self.graph.node(ids).elements(),
            experts: self.graph.node(logits).columns(),
        };
        let op = Op::GroupByExpert { ids, grouping };
        Ok(self.push_typed(op, vec![grouping.elements()], ElementType::U32))
    }

    /// See [`GroupedLinear`]; `tensor.weight` is `[experts, expert_rows, K]`, or a regrouping of it, and `tensor.bias`,
    /// where there is one, `[experts, expert_rows]`. `rows` of them are used.
    #[expect(clippy::too_many_arguments, reason = "the operation has these operands")]
    pub fn grouped_linear(
        &mut self,
        scope: &Scope,
        tensor: &str,
        x: Value,
        source: Source,
        groups: Value,
        expert_rows: usize,
        rows: Range<usize>,
        activation: Activation,
    ) -> Result<Value> {
        self.label(scope, tensor);
        let grouping = self.grouping("grouped_linear", groups)?;
        let all = grouping.experts * expert_rows;
        let (x_rows, k) = (self.graph.node(x).rows(), self.graph.node(x).columns());
        let fits = match source {
            Source::Places => x_rows == grouping.slots,
            Source::Tokens => x_rows > 0 && grouping.slots.is_multiple_of(x_rows),
        };
        if !fits || rows.is_empty() || rows.end > expert_rows {
            let why = format!(
                "x {:?} does not fit {} slots, or rows {rows:?} are not of the {expert_rows} of an expert",
                self.shape(x),
                grouping.slots
            );
            return Err(self.shape_error("grouped_linear", why));
        }
        let scope = scope.enter(tensor);
        let weight = self.matrix(&scope.name("weight"), &[all, k], 0..all, MatrixLayout::RowMajor)?;
        let bias = match self.has(&scope, "bias") {
            true => Some(self.parameter(&scope, "bias", &[all])?),
            false => None,
        };
        let shape = vec![grouping.slots, rows.len()];
        let op = GroupedLinear {
            x,
            source,
            groups,
            grouping,
            weight,
            rows,
            bias,
            activation,
        };
        Ok(self.push(Op::GroupedLinear(op), shape))
    }

    /// Σ weight · row over the slots of each token, in their order: `x` `[T · k, N]` sorted by expert, `weights`
    /// `[T, k]` → `[T, N]`.
    pub fn scatter_experts(
        &mut self,
        scope: &Scope,
        name: &str,
        x: Value,
        groups: Value,
        weights: Value,
    ) -> Result<Value> {
        self.label(scope, name);
        let grouping = self.grouping("scatter_experts", groups)?;
        let columns = self.graph.node(x).columns();
        self.expect("scatter_experts", x, &[grouping.slots, columns])?;
        let &[tokens, k] = self.shape(weights) else {
            let why = format!("weights must be [T, k], not {:?}", self.shape(weights));
            return Err(self.shape_error("scatter_experts", why));
        };
        if tokens * k != grouping.slots {
            let why = format!("weights [{tokens}, {k}] are not those of {} slots", grouping.slots);
            return Err(self.shape_error("scatter_experts", why));
        }
        let op = Op::ScatterExperts {
            x,
            groups,
            grouping,
            weights,
        };
        Ok(self.push(op, vec![tokens, columns]))
    }

    /// A router's choice and its weights, with the usual parameters: ids and weights `[T, k]`.
    pub fn route(
        &mut self,
        scope: &Scope,
        logits: Value,
        k: usize,
        scoring: Scoring,
        normalize: bool,
        scale: f32,
    ) -> Result<(Value, Value)> {
        let ids = self.top_k(scope, "top_k", logits, k)?;
        let op = ExpertWeights {
            logits,
            ids,
            scoring,
            normalize,
            scale,
        };
        Ok((ids, self.expert_weights(scope, "weights", op)?))
    }

    fn grouping(&self, op: &'static str, groups: Value) -> Result<Grouping> {
        match self.graph.node(groups).op {
            Op::GroupByExpert { grouping, .. } => Ok(grouping),
            _ => Err(self.shape_error(op, "the slots must be grouped by expert first".into())),
        }
    }
}
