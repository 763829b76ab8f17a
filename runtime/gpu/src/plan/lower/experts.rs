//! Layers with experts: choice, grouping, products, sums.

use kinora_graph::experts::{ExpertWeights, GroupedLinear, Grouping, Scoring, Source};
use kinora_graph::{Op, Result, Value};
use kinora_shaders::{expert_weights, flags, group_by_expert, grouped_linear, scatter_experts, top_k};

use super::super::chunk::share;
use super::super::emit::Emitter;
use super::products::stored;
use super::{activation, flag};

/// Most tiles of a dispatch: what a grid has in one dimension.
const MAX_TILES: u32 = 65_535;

impl Emitter<'_> {
    pub(super) fn top_k(&mut self, value: Value, logits: Value) -> Result<()> {
        let (rows, k) = (self.graph.node(value).rows(), self.graph.node(value).columns());
        let columns = self.graph.node(logits).columns();
        let cost = self.graph.cost(value);
        let (logits, out) = (self.view(logits), self.result(value));
        for chunk in self.chunks(rows, 64, &[(logits, columns), (out, k)], cost) {
            let params = top_k::Params {
                rows: chunk.len(),
                columns: columns as u32,
                k: k as u32,
                first_row: chunk.first(),
            };
            let views = [chunk.view(logits, columns), chunk.view(out, k)];
            self.emit(top_k::TopK, params, &views, chunk.cost(cost))?;
        }
        Ok(())
    }

    pub(super) fn expert_weights(&mut self, value: Value, op: &ExpertWeights) -> Result<()> {
        let (rows, k) = (self.graph.node(value).rows(), self.graph.node(value).columns());
        let columns = self.graph.node(op.logits).columns();
        let cost = self.graph.cost(value);
        self.limit_of_input(op.ids, columns)?;
        let (logits, ids, out) = (self.view(op.logits), self.view(op.ids), self.result(value));
        let kernel = expert_weights::ExpertWeights {
            scoring: match op.scoring {
                Scoring::Softmax => expert_weights::Scoring::Softmax,
                Scoring::SoftmaxOfChosen => expert_weights::Scoring::SoftmaxOfChosen,
                Scoring::Sigmoid => expert_weights::Scoring::Sigmoid,
            },
            normalize: op.normalize,
        };
        for chunk in self.chunks(rows, 64, &[(logits, columns), (ids, k), (out, k)], cost) {
            let params = expert_weights::Params {
                rows: chunk.len(),
                columns: columns as u32,
                k: k as u32,
                first_row: chunk.first(),
                scale: op.scale,
                ..Default::default()
            };
            let views = [chunk.view(logits, columns), chunk.view(ids, k), chunk.view(out, k)];
            self.emit(kernel, params, &views, chunk.cost(cost))?;
        }
        Ok(())
    }

    pub(super) fn group_by_expert(&mut self, value: Value, ids: Value, grouping: Grouping) -> Result<()> {
        let cost = self.graph.cost(value);
        self.limit_of_input(ids, grouping.experts)?;
        let (ids, out) = (self.view(ids), self.result(value));
        for chunk in self.chunks(grouping.experts, 1, &[], cost) {
            let params = group_by_expert::Params {
                slots: grouping.slots as u32,
                experts: grouping.experts as u32,
                first_expert: chunk.rows.start as u32,
                last_expert: chunk.rows.end as u32,
            };
            self.emit(group_by_expert::GroupByExpert, params, &[ids, out], chunk.cost(cost))?;
        }
        Ok(())
    }

    pub(super) fn grouped_linear(&mut self, value: Value, op: &GroupedLinear) -> Result<()> {
        let cost = self.graph.cost(value);
        let Grouping { slots, experts } = op.grouping;
        let tokens = self.graph.node(op.x).rows();
        self.limit_of_input(op.groups, slots + 1)?;
        let x = self.factor(op.x, op.weight.rotation())?;
        let groups = self.view(op.groups);
        let bias = op.bias.map_or(x, |v| self.view(v));
        let out = self.result(value);
        let kernel = grouped_linear::GroupedLinear {
            weight: stored(&op.weight),
            factors: self.factors(),
            from_tokens: op.source == Source::Tokens,
            activation: activation(op.activation),
        };
        let rows = op.expert_rows();
        let tiles = grouped_linear::GroupedLinear::tiles(slots as u32, experts as u32);
        let parts = self.weight_parts(&op.weight, rows);
        for (range, weight) in &parts {
            let cost = share(cost, range.len() as f64 / op.weight.n() as f64);
            let step = self.pieces_in_slice(tiles as usize, 1, cost).min(MAX_TILES as usize) as u32;
            for first_tile in (0..tiles).step_by(step as usize) {
                let params = grouped_linear::Params {
                    n: op.rows.len() as u32,
                    k: op.weight.k as u32,
                    first_tile,
                    tiles: step.min(tiles - first_tile),
                    slots: slots as u32,
                    experts: experts as u32,
                    first_expert: (range.start / rows) as u32,
                    last_expert: (range.end / rows) as u32,
                    expert_rows: rows as u32,
                    first_row: op.rows.start as u32,
                    per_row: (slots / tokens) as u32,
                    flags: flag(op.bias.is_some(), flags::BIAS),
                };
                let cost = share(cost, f64::from(params.tiles) / f64::from(tiles));
                self.emit(kernel, params, &[*weight, x, groups, bias, out], cost)?;
            }
        }
        Ok(())
    }

    pub(super) fn scatter_experts(
        &mut self,
        value: Value,
        x: Value,
        groups: Value,
        grouping: Grouping,
        weights: Value,
    ) -> Result<()> {
        let (rows, columns) = (self.graph.node(value).rows(), self.graph.node(value).columns());
        let k = self.graph.node(weights).columns();
        let cost = self.graph.cost(value);
        self.limit_of_input(groups, grouping.slots + 1)?;
        let (x, groups, weights) = (self.view(x), self.view(groups), self.view(weights));
        let out = self.result(value);
        for chunk in self.chunks(rows, 1, &[(weights, k), (out, columns)], cost) {
            let params = scatter_experts::Params {
                rows: chunk.len(),
                columns: columns as u32,
                k: k as u32,
                first_row: chunk.first(),
                first_slot: (chunk.rows.start * k) as u32,
                slots: grouping.slots as u32,
                ..Default::default()
            };
            let views = [x, groups, chunk.view(weights, k), chunk.view(out, columns)];
            self.emit(scatter_experts::ScatterExperts, params, &views, chunk.cost(cost))?;
        }
        Ok(())
    }

    /// Ids that the host gives are checked; computed ones need not be.
    fn limit_of_input(&mut self, ids: Value, limit: usize) -> Result<()> {
        match self.graph.node(ids).op {
            Op::Input { .. } => self.limit(ids, limit),
            _ => Ok(()),
        }
    }
}
