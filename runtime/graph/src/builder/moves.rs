//! Operations that only move data (or average it): all are rearrangements and concatenations.

use std::ops::Range;

use super::Builder;
use crate::{MAX_AXES, Op, Rearrange, Result, Value};

impl Builder<'_> {
    /// The general form behind the methods below: output axes are grouped into `shape`.
    pub fn rearrange(&mut self, x: Value, spec: Rearrange, shape: &[usize]) -> Result<Value> {
        let node = self.graph.node(x);
        let full = Rearrange { ..spec };
        if full.sizes.len() != full.strides.len() || full.reduce > full.sizes.len() {
            return Err(self.shape_error("rearrange", "sizes and strides differ in number".into()));
        }
        if full.sizes.contains(&0)
            || full.extent() > node.elements()
            || full.outputs() != shape.iter().product::<usize>()
        {
            return Err(self.shape_error(
                "rearrange",
                format!("{full:?} of {:?} does not make {shape:?}", node.shape),
            ));
        }
        let simple = full.simplified();
        if simple.sizes.len() > MAX_AXES {
            return Err(self.shape_error("rearrange", format!("{} axes; {MAX_AXES} at most", simple.sizes.len())));
        }
        Ok(self.push(Op::Rearrange { x, spec: simple }, shape.to_vec()))
    }

    /// Rows `range` of dimension `axis`.
    pub fn slice(&mut self, x: Value, axis: usize, range: Range<usize>) -> Result<Value> {
        let mut shape = self.shape(x).to_vec();
        if axis >= shape.len() || range.is_empty() || range.end > shape[axis] {
            return Err(self.shape_error("slice", format!("{range:?} of axis {axis} of {shape:?}")));
        }
        let strides = row_major(&shape);
        shape[axis] = range.len();
        let spec = Rearrange {
            sizes: shape.clone(),
            strides: strides.clone(),
            offset: range.start * strides[axis],
            reduce: 0,
        };
        self.rearrange(x, spec, &shape)
    }

    /// The same elements under another shape.
    pub fn reshape(&mut self, x: Value, shape: &[usize]) -> Result<Value> {
        let elements = self.graph.node(x).elements();
        let spec = Rearrange {
            sizes: vec![elements],
            strides: vec![1],
            offset: 0,
            reduce: 0,
        };
        self.rearrange(x, spec, shape)
    }

    /// Axes of `x`, first viewed as `view`, in the order `order`, grouped into `shape`; the last `reduce`
    /// axes are averaged away. What patchify and the pixel shuffles are made of.
    pub fn permute(
        &mut self,
        x: Value,
        view: &[usize],
        order: &[usize],
        reduce: usize,
        shape: &[usize],
    ) -> Result<Value> {
        let strides = row_major(view);
        let spec = Rearrange {
            sizes: order.iter().map(|a| view[*a]).collect(),
            strides: order.iter().map(|a| strides[*a]).collect(),
            offset: 0,
            reduce,
        };
        self.rearrange(x, spec, shape)
    }

    /// Each voxel of `[T, H, W, C]` repeated `factor` times along H and W.
    pub fn upsample_nearest(&mut self, x: Value, factor: usize) -> Result<Value> {
        let &[t, h, w, c] = self.shape(x) else {
            return Err(self.shape_error(
                "upsample_nearest",
                format!("the input must be [T, H, W, C], not {:?}", self.shape(x)),
            ));
        };
        let spec = Rearrange {
            sizes: vec![t, h, factor, w, factor, c],
            strides: vec![h * w * c, w * c, 0, c, 0, 1],
            offset: 0,
            reduce: 0,
        };
        self.rearrange(x, spec, &[t, h * factor, w * factor, c])
    }

    /// Each row of `[R, C]` repeated `times` times side by side: `[R, times · C]`.
    pub fn repeat_columns(&mut self, x: Value, times: usize) -> Result<Value> {
        let (rows, columns) = (self.graph.node(x).rows(), self.graph.node(x).columns());
        let spec = Rearrange {
            sizes: vec![rows, times, columns],
            strides: vec![columns, 0, 1],
            offset: 0,
            reduce: 0,
        };
        self.rearrange(x, spec, &[rows, times * columns])
    }

    /// Concatenation along the first dimension.
    pub fn concat(&mut self, inputs: &[Value]) -> Result<Value> {
        let mut shape = self.shape(inputs[0]).to_vec();
        let rest = shape[1..].to_vec();
        if inputs.iter().any(|v| self.shape(*v)[1..] != rest) {
            return Err(self.shape_error("concat", "the inputs differ in more than the first dimension".into()));
        }
        shape[0] = inputs.iter().map(|v| self.shape(*v)[0]).sum();
        Ok(self.push(
            Op::Concat {
                inputs: inputs.to_vec(),
            },
            shape,
        ))
    }
}

/// Element strides of a row-major tensor.
fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    strides
}
