//! Single operations at the shapes of models, run as graphs: what is timed is what a render runs.

mod conv3d;
mod rows;

use std::collections::BTreeMap;

use kinora_graph::{Builder, Result, Value};
use kinora_quant::TensorInfo;

use super::numbers::Inputs;

pub(super) use conv3d::Conv3d;
pub(super) use rows::{Add, Attention, Linear, Norm, QkNormRope};

/// Which part of the operation a graph is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it, on the device.
    Whole,
    /// The rows that are compared, on the processor.
    Sample,
}

/// An operation at one shape.
pub(super) trait Operation {
    /// The shape in words.
    fn shape(&self) -> String;

    /// Weights that it reads.
    fn tensors(&self) -> BTreeMap<String, TensorInfo> {
        BTreeMap::new()
    }

    /// Random operands.
    fn inputs(&self) -> Inputs;

    /// The operands of [`Extent::Sample`].
    fn sample(&self, inputs: &Inputs) -> Inputs;

    /// The rows of the whole result that [`Extent::Sample`] computes.
    fn sampled(&self, result: &[f32]) -> Vec<f32>;

    /// The operation on the graph's inputs.
    ///
    /// # Errors
    /// Where the shape cannot be.
    fn build(&self, b: &mut Builder<'_>, extent: Extent) -> Result<Value>;

    /// What it approximates, on the same inputs.
    fn exact(&self) -> Option<Box<dyn Operation>> {
        None
    }
}
