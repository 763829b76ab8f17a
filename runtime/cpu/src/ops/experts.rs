//! Layers with experts.

use std::ops::Range;

use kinora_graph::experts::{ExpertWeights, GroupedLinear, Grouping, Scoring, Source};
use kinora_graph::{Error, Result, Value};
use rayon::prelude::*;

use super::{Machine, factor};
use crate::frame::Frame;
use crate::math::activate;
use crate::matmul::{Mat, Old, Target, Threads, multiply};
use crate::weights::WeightMatrix;

/// Elements of the weight of a task.
const PIECE: usize = 512 * 1024;

/// The `k` highest columns of each row.
pub(super) fn top_k(frame: &Frame<'_>, logits: Value, k: usize) -> Result<Vec<u32>> {
    let columns = frame.graph().node(logits).columns();
    let rows = frame.f32(logits)?.par_chunks(columns);
    let ids = rows.flat_map_iter(|row| {
        let mut ids: Vec<u32> = (0..columns as u32).collect();
        // Adding 0 makes both zeros equal; a stable sort keeps equal ones in their order.
        ids.sort_by(|a, b| (row[*b as usize] + 0.0).total_cmp(&(row[*a as usize] + 0.0)));
        ids.truncate(k);
        ids
    });
    Ok(ids.collect())
}

pub(super) fn expert_weights(frame: &Frame<'_>, op: &ExpertWeights) -> Result<Vec<f32>> {
    let (columns, k) = (
        frame.graph().node(op.logits).columns(),
        frame.graph().node(op.ids).columns(),
    );
    let ids = experts_of(frame, op.ids, columns)?;
    let mut out = vec![0.0; ids.len()];
    let rows = frame.f32(op.logits)?.par_chunks(columns);
    out.par_chunks_mut(k)
        .zip(ids.par_chunks(k))
        .zip(rows)
        .for_each(|((out, ids), logits)| {
            out.iter_mut().zip(ids).for_each(|(y, id)| *y = logits[*id as usize]);
            match op.scoring {
                Scoring::Softmax => softmax(out, logits),
                Scoring::SoftmaxOfChosen => softmax(out, &out.to_vec()),
                Scoring::Sigmoid => out.iter_mut().for_each(|y| *y = 1.0 / (1.0 + (-*y).exp())),
            }
            let total: f32 = if op.normalize { out.iter().sum() } else { 1.0 };
            out.iter_mut().for_each(|y| *y = *y / total * op.scale);
        });
    Ok(out)
}

/// Replaces logits by their share of the softmax over `among`.
fn softmax(values: &mut [f32], among: &[f32]) {
    let highest = among.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = among.iter().map(|v| (v - highest).exp()).sum();
    values.iter_mut().for_each(|v| *v = (*v - highest).exp() / sum);
}

pub(super) fn group_by_expert(frame: &Frame<'_>, ids: Value, grouping: Grouping) -> Result<Vec<u32>> {
    let ids = experts_of(frame, ids, grouping.experts)?;
    let mut out = vec![0; grouping.elements()];
    let (order, rest) = out.split_at_mut(grouping.slots);
    let (places, starts) = rest.split_at_mut(grouping.slots);
    for id in ids {
        starts[*id as usize + 1] += 1;
    }
    for expert in 0..grouping.experts {
        starts[expert + 1] += starts[expert];
    }
    let mut next = starts.to_vec();
    for (slot, id) in ids.iter().enumerate() {
        let place = &mut next[*id as usize];
        order[*place as usize] = slot as u32;
        places[slot] = *place;
        *place += 1;
    }
    Ok(out)
}

pub(super) fn grouped_linear(machine: &Machine<'_>, frame: &Frame<'_>, op: &GroupedLinear) -> Result<Vec<f32>> {
    let (k, n, slots) = (op.weight.k, op.rows.len(), op.grouping.slots);
    let groups = Groups::new(frame, op.groups, op.grouping)?;
    let x = factor(frame, op.x, &op.weight, machine.precision)?;
    let bias = frame.optional(op.bias)?;
    let per_token = slots / frame.graph().node(op.x).rows();
    let weight = WeightMatrix::new(machine.weights, &op.weight, machine.precision);
    let piece = (PIECE / k.max(1)).max(8);
    // Pieces of the columns of each expert that has rows.
    let tasks: Vec<(usize, Range<usize>)> = (0..op.grouping.experts)
        .filter(|expert| !groups.of(*expert).is_empty())
        .flat_map(|expert| {
            let columns = op.rows.clone().step_by(piece);
            columns.map(move |first| (expert, first..op.rows.end.min(first + piece)))
        })
        .collect();
    let products: Vec<Vec<f32>> = tasks
        .par_iter()
        .map(|(expert, columns)| {
            let places = groups.of(*expert);
            let rows: Vec<f32> = match op.source {
                Source::Places => x[places.start * k..places.end * k].to_vec(),
                Source::Tokens => {
                    let tokens = groups.order[places.clone()]
                        .iter()
                        .map(|slot| *slot as usize / per_token);
                    tokens.flat_map(|token| &x[token * k..][..k]).copied().collect()
                }
            };
            let first = expert * op.expert_rows();
            let mut w = vec![0.0; columns.len() * k];
            weight.decode_into(first + columns.start..first + columns.end, &mut w)?;
            let mut out = vec![0.0; places.len() * columns.len()];
            multiply(
                Target::new(&mut out, columns.len()),
                Old::Overwritten,
                Mat::new(&rows, places.len(), k, k),
                Mat::new(&w, columns.len(), k, k).transposed(),
                1.0,
                Threads::One,
            );
            if let Some(bias) = bias {
                let bias = &bias[first + columns.start..first + columns.end];
                for row in out.chunks_mut(columns.len()) {
                    row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
                }
            }
            activate(op.activation, &mut out);
            Ok(out)
        })
        .collect::<Result<_>>()?;
    let mut out = vec![0.0; slots * n];
    for ((expert, columns), product) in tasks.iter().zip(products) {
        let rows = out[groups.of(*expert).start * n..].chunks_mut(n);
        for (out, product) in rows.zip(product.chunks(columns.len())) {
            out[columns.start - op.rows.start..columns.end - op.rows.start].copy_from_slice(product);
        }
    }
    Ok(out)
}

pub(super) fn scatter_experts(
    frame: &Frame<'_>,
    x: Value,
    groups: Value,
    grouping: Grouping,
    weights: Value,
) -> Result<Vec<f32>> {
    let (columns, k) = (frame.graph().node(x).columns(), frame.graph().node(weights).columns());
    let (x, weights) = (frame.f32(x)?, frame.f32(weights)?);
    let groups = Groups::new(frame, groups, grouping)?;
    let mut out = vec![0.0; weights.len() / k * columns];
    out.par_chunks_mut(columns)
        .zip(groups.places.par_chunks(k))
        .zip(weights.par_chunks(k))
        .for_each(|((out, places), weights)| {
            for (place, weight) in places.iter().zip(weights) {
                let row = &x[*place as usize * columns..][..columns];
                out.iter_mut().zip(row).for_each(|(y, v)| *y += weight * v);
            }
        });
    Ok(out)
}

/// A grouping's parts, checked: a part of a graph may get it from the host.
struct Groups<'a> {
    order: &'a [u32],
    places: &'a [u32],
    starts: &'a [u32],
}

impl<'a> Groups<'a> {
    fn new(frame: &'a Frame<'_>, value: Value, grouping: Grouping) -> Result<Self> {
        let all = frame.u32(value)?;
        let groups = Self {
            order: &all[grouping.order()],
            places: &all[grouping.places()],
            starts: &all[grouping.starts()],
        };
        let within = |part: &[u32]| part.iter().all(|i| (*i as usize) < grouping.slots);
        let starts = groups.starts.is_sorted() && groups.starts.iter().all(|i| *i as usize <= grouping.slots);
        if within(groups.order) && within(groups.places) && starts {
            return Ok(groups);
        }
        Err(Error::Input {
            name: frame.graph().node(value).label.clone(),
            why: format!("it is no grouping of {} slots", grouping.slots),
        })
    }

    /// The places of an expert.
    fn of(&self, expert: usize) -> Range<usize> {
        self.starts[expert] as usize..self.starts[expert + 1] as usize
    }
}

/// Ids, all of them of experts.
fn experts_of<'a>(frame: &'a Frame<'_>, ids: Value, experts: usize) -> Result<&'a [u32]> {
    let name = &frame.graph().node(ids).label;
    let ids = frame.u32(ids)?;
    match ids.iter().find(|id| **id as usize >= experts) {
        None => Ok(ids),
        Some(id) => Err(Error::Input {
            name: name.clone(),
            why: format!("expert {id} is asked for; there are {experts}"),
        }),
    }
}
