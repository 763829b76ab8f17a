//! What LoRAs make of one tensor.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use kinora_quant::{Result, Weights};

use super::factor::Product;

/// Rows of which the columns' lengths are summed at a time, in elements.
const PANEL: usize = 1 << 20;

/// A change of a weight `W`.
pub(super) struct Change {
    /// Added to the weight, times `scale`.
    pub(super) product: Product,
    /// Strength · alpha / rank; without the strength where there is a `magnitude`.
    pub(super) scale: f32,
    /// Where the sum is then given a length (DoRA).
    pub(super) magnitude: Option<Magnitude>,
}

/// DoRA: `W + strength · (m · (W + ΔW) / ‖W + ΔW‖ - W)`, norms along rows or columns.
pub(super) struct Magnitude {
    /// `m`: one for each row, or one for each of the weight's input channels.
    pub(super) lengths: Vec<f32>,
    /// Whether rows have it.
    pub(super) by_rows: bool,
    /// How much of it.
    pub(super) strength: f32,
    /// `‖W + ΔW‖` of each channel, made when it is first needed.
    pub(super) norms: OnceLock<Vec<f32>>,
}

/// What changes are made to.
pub(super) enum Base {
    /// The model's tensor.
    Model,
    /// Nothing: the model has no such bias.
    Zero,
    /// A tensor of a LoRA file.
    File(Arc<dyn Weights>, String),
}

/// A tensor of the model and its changes, in the order of their files.
pub(super) struct Patch {
    /// The tensor's name.
    pub(super) name: String,
    /// The tensor's shape.
    pub(super) shape: Vec<usize>,
    /// What the changes begin with.
    pub(super) base: Base,
    /// The changes.
    pub(super) changes: Vec<Change>,
}

impl Patch {
    /// Rows of the first dimension, and elements of each.
    pub(super) fn size(&self) -> [usize; 2] {
        let (rows, rest) = self.shape.split_first().unwrap_or((&1, &[]));
        [*rows, rest.iter().product()]
    }

    /// Whether all changes can stand beside the weight as one low-rank product. Others need the sum in f32.
    pub(super) fn is_low_rank(&self) -> bool {
        let small = |change: &Change| change.magnitude.is_none() && change.product.is_low_rank();
        is_matrix(&self.name, &self.shape) && !matches!(self.base, Base::Zero) && self.changes.iter().all(small)
    }

    /// Ranks of the changes together.
    pub(super) fn rank(&self) -> usize {
        self.changes.iter().filter_map(|c| c.product.rank()).sum()
    }

    /// Rows `range` of all `down` factors, one below the other: `[rank, K]`.
    pub(super) fn down(&self, range: Range<usize>) -> Result<Vec<f32>> {
        let mut out = Vec::new();
        let mut start = 0;
        for change in &self.changes {
            let rank = change.product.rank().unwrap_or(0);
            let part = range.start.clamp(start, start + rank) - start..range.end.clamp(start, start + rank) - start;
            if !part.is_empty() {
                out.extend(change.product.down(part)?);
            }
            start += rank;
        }
        Ok(out)
    }

    /// Rows `range` of all scaled `up` factors, side by side: `[N, rank]`.
    pub(super) fn up(&self, range: Range<usize>) -> Result<Vec<f32>> {
        let width = self.rank();
        let mut out = vec![0.0; range.len() * width];
        let mut start = 0;
        for change in &self.changes {
            let rank = change.product.rank().unwrap_or(0);
            if rank == 0 {
                continue;
            }
            let part = change.product.up(range.clone())?;
            for (out, part) in out.chunks_exact_mut(width).zip(part.chunks_exact(rank)) {
                let out = &mut out[start..start + rank];
                out.iter_mut().zip(part).for_each(|(out, up)| *out = change.scale * up);
            }
            start += rank;
        }
        Ok(out)
    }

    /// Rows `range` of the changed tensor.
    pub(super) fn merged(&self, model: &dyn Weights, range: Range<usize>) -> Result<Vec<f32>> {
        self.after(self.changes.len(), model, range)
    }

    /// Rows `range` after the first `count` changes.
    fn after(&self, count: usize, model: &dyn Weights, range: Range<usize>) -> Result<Vec<f32>> {
        let [_, k] = self.size();
        let mut values = match &self.base {
            Base::Model => model.rows(&self.name, range.clone())?.to_f32()?,
            Base::Zero => vec![0.0; range.len() * k],
            Base::File(file, name) => file.rows(name, range.clone())?.to_f32()?,
        };
        if k == 0 {
            return Ok(values);
        }
        for (index, change) in self.changes[..count].iter().enumerate() {
            let delta = change.product.rows(range.clone())?;
            let Some(magnitude) = &change.magnitude else {
                values.iter_mut().zip(&delta).for_each(|(w, d)| *w += change.scale * d);
                continue;
            };
            let changed = |w: f32, d: f32| w + change.scale * d;
            let group = k / magnitude.lengths.len().max(1);
            let by_columns = match magnitude.by_rows {
                true => None,
                false => Some(self.channel_norms(index, magnitude, model)?),
            };
            for (row, (values, delta)) in values.chunks_exact_mut(k).zip(delta.chunks_exact(k)).enumerate() {
                let of_row: f64 = values.iter().zip(delta).map(|(w, d)| square(changed(*w, *d))).sum();
                for (column, (w, d)) in values.iter_mut().zip(delta).enumerate() {
                    let (length, norm) = match by_columns {
                        None => (magnitude.lengths[range.start + row], of_row.sqrt() as f32),
                        Some(norms) => (magnitude.lengths[column / group], norms[column / group]),
                    };
                    // As the reference does, so that a row of zeros stays one.
                    let factor = length / (norm + f32::EPSILON);
                    *w += magnitude.strength * (factor * changed(*w, *d) - *w);
                }
            }
        }
        Ok(values)
    }

    /// `‖W + ΔW‖` of each input channel at change `index`.
    fn channel_norms<'a>(&self, index: usize, magnitude: &'a Magnitude, model: &dyn Weights) -> Result<&'a [f32]> {
        if let Some(norms) = magnitude.norms.get() {
            return Ok(norms);
        }
        let ([n, k], channels) = (self.size(), magnitude.lengths.len());
        let change = &self.changes[index];
        let mut sums = vec![0f64; channels];
        let step = (PANEL / k.max(1)).max(1);
        for start in (0..n).step_by(step) {
            let range = start..n.min(start + step);
            let values = self.after(index, model, range.clone())?;
            for (at, (w, d)) in values.iter().zip(change.product.rows(range)?).enumerate() {
                sums[at % k / (k / channels)] += square(w + change.scale * d);
            }
        }
        Ok(magnitude
            .norms
            .get_or_init(|| sums.into_iter().map(|sum| sum.sqrt() as f32).collect()))
    }
}

fn square(x: f32) -> f64 {
    f64::from(x) * f64::from(x)
}

/// Whether a tensor is the weight of a layer that multiplies with it.
pub(super) fn is_matrix(name: &str, shape: &[usize]) -> bool {
    name.ends_with(".weight") && shape.iter().filter(|n| **n > 1).count() >= 2
}
