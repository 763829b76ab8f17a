//! Operations each of whose rows depends on one row of some operands and on the whole of the others.

use std::collections::BTreeMap;

use kinora_graph::{Activation, Builder, Epilogue, HostTensor, Modulation, Result, Rows, Scope, Scores, Value};
use kinora_quant::{DType, TensorInfo};

use super::{Extent, Operation};
use crate::bench::numbers::{Inputs, SAMPLED, pick, random, sampled};
use crate::bench::shapes::HEAD;

const EPS: f32 = 1e-6;

/// The number of rows in a graph.
fn count(rows: usize, extent: Extent) -> usize {
    match extent {
        Extent::Whole => rows,
        Extent::Sample => rows.min(SAMPLED),
    }
}

/// Only the compared rows of the inputs in `by_row`, all of the others.
fn sample(inputs: &Inputs, rows: usize, by_row: &[&str]) -> Inputs {
    let chosen = sampled(rows);
    let part = |(name, tensor): &(String, HostTensor)| {
        let values = tensor.as_f32().expect("inputs are numbers");
        let tensor = if by_row.contains(&name.as_str()) {
            let columns = values.len() / rows;
            HostTensor::f32(&[chosen.len(), columns], pick(values, columns, &chosen))
        } else {
            tensor.clone()
        };
        (name.clone(), tensor)
    };
    inputs.iter().map(part).collect()
}

fn named<const N: usize>(inputs: [(&str, HostTensor); N]) -> Inputs {
    inputs.map(|(name, tensor)| (name.to_owned(), tensor)).into()
}

/// x Wᵀ + bias.
pub(in crate::bench) struct Linear {
    pub(in crate::bench) m: usize,
    pub(in crate::bench) n: usize,
    pub(in crate::bench) k: usize,
    pub(in crate::bench) dtype: DType,
    pub(in crate::bench) activation: Activation,
}

impl Operation for Linear {
    fn shape(&self) -> String {
        format!("m={} n={} k={}", self.m, self.n, self.k)
    }

    fn tensors(&self) -> BTreeMap<String, TensorInfo> {
        let tensor = |name: &str, dtype, shape: &[usize]| {
            let shape = shape.to_vec();
            (name.to_owned(), TensorInfo { dtype, shape })
        };
        BTreeMap::from([
            tensor("linear.weight", self.dtype, &[self.n, self.k]),
            tensor("linear.bias", DType::F32, &[self.n]),
        ])
    }

    fn inputs(&self) -> Inputs {
        named([("x", random(&[self.m, self.k], 1.0, 1))])
    }

    fn sample(&self, inputs: &Inputs) -> Inputs {
        sample(inputs, self.m, &["x"])
    }

    fn sampled(&self, result: &[f32]) -> Vec<f32> {
        pick(result, self.n, &sampled(self.m))
    }

    fn build(&self, b: &mut Builder<'_>, extent: Extent) -> Result<Value> {
        let x = b.input("x", &[count(self.m, extent), self.k]);
        let epilogue = Epilogue::Activation(self.activation);
        b.linear(&Scope::root(), "linear", x, self.n, epilogue)
    }
}

/// softmax(q kᵀ) v of heads that are `head` wide.
#[derive(Clone, Copy)]
pub(in crate::bench) struct Attention {
    pub(in crate::bench) heads: usize,
    pub(in crate::bench) head: usize,
    pub(in crate::bench) queries: usize,
    pub(in crate::bench) keys: usize,
    pub(in crate::bench) scores: Scores,
}

impl Attention {
    fn width(&self) -> usize {
        self.heads * self.head
    }
}

impl Operation for Attention {
    fn shape(&self) -> String {
        let (heads, head) = (self.heads, self.head);
        format!("heads={heads} q={} k={} d={head}", self.queries, self.keys)
    }

    fn inputs(&self) -> Inputs {
        // Scores of about 1, so that keys differ in weight.
        named([
            ("q", random(&[self.queries, self.width()], 2.0, 1)),
            ("k", random(&[self.keys, self.width()], 2.0, 2)),
            ("v", random(&[self.keys, self.width()], 1.0, 3)),
        ])
    }

    fn sample(&self, inputs: &Inputs) -> Inputs {
        sample(inputs, self.queries, &["q"])
    }

    fn sampled(&self, result: &[f32]) -> Vec<f32> {
        pick(result, self.width(), &sampled(self.queries))
    }

    fn build(&self, b: &mut Builder<'_>, extent: Extent) -> Result<Value> {
        let q = b.input("q", &[count(self.queries, extent), self.width()]);
        let mut keys = |name| b.input(name, &[self.keys, self.width()]);
        let (k, v) = (keys("k"), keys("v"));
        let op = kinora_graph::Attention {
            q,
            k,
            v,
            heads: self.heads,
            scale: 1.0 / (self.head as f32).sqrt(),
            bias: None,
            mask: None,
            blocks: None,
            scores: self.scores,
        };
        b.attention(&Scope::root(), "attention", op)
    }

    fn exact(&self) -> Option<Box<dyn Operation>> {
        let float = Self {
            scores: Scores::Float,
            ..*self
        };
        (self.scores != Scores::Float).then(|| Box::new(float) as _)
    }
}

/// Layer norm with scale and shift.
pub(in crate::bench) struct Norm {
    pub(in crate::bench) rows: usize,
    pub(in crate::bench) columns: usize,
}

impl Operation for Norm {
    fn shape(&self) -> String {
        format!("rows={} columns={}", self.rows, self.columns)
    }

    fn inputs(&self) -> Inputs {
        named([
            ("x", random(&[self.rows, self.columns], 1.0, 1)),
            ("table", random(&[1, 2 * self.columns], 0.5, 2)),
        ])
    }

    fn sample(&self, inputs: &Inputs) -> Inputs {
        sample(inputs, self.rows, &["x"])
    }

    fn sampled(&self, result: &[f32]) -> Vec<f32> {
        pick(result, self.columns, &sampled(self.rows))
    }

    fn build(&self, b: &mut Builder<'_>, extent: Extent) -> Result<Value> {
        let x = b.input("x", &[count(self.rows, extent), self.columns]);
        let modulation = Modulation {
            table: b.input("table", &[1, 2 * self.columns]),
            shift: 0,
            scale: self.columns,
            rows: Rows::First,
        };
        b.modulated_norm(&Scope::root(), "norm", x, EPS, modulation)
    }
}

/// RMS norm and rotation of queries or keys.
pub(in crate::bench) struct QkNormRope {
    pub(in crate::bench) rows: usize,
    pub(in crate::bench) heads: usize,
}

impl Operation for QkNormRope {
    fn shape(&self) -> String {
        format!("rows={} heads={} d={HEAD}", self.rows, self.heads)
    }

    fn tensors(&self) -> BTreeMap<String, TensorInfo> {
        let info = TensorInfo {
            dtype: DType::F32,
            shape: vec![self.heads * HEAD],
        };
        BTreeMap::from([("norm_q.weight".to_owned(), info)])
    }

    fn inputs(&self) -> Inputs {
        named([
            ("x", random(&[self.rows, self.heads * HEAD], 1.0, 1)),
            ("cos", random(&[self.rows, HEAD / 2], 1.0, 2)),
            ("sin", random(&[self.rows, HEAD / 2], 1.0, 3)),
        ])
    }

    fn sample(&self, inputs: &Inputs) -> Inputs {
        sample(inputs, self.rows, &["x", "cos", "sin"])
    }

    fn sampled(&self, result: &[f32]) -> Vec<f32> {
        pick(result, self.heads * HEAD, &sampled(self.rows))
    }

    fn build(&self, b: &mut Builder<'_>, extent: Extent) -> Result<Value> {
        let rows = count(self.rows, extent);
        let x = b.input("x", &[rows, self.heads * HEAD]);
        let mut table = |name| b.input(name, &[rows, HEAD / 2]);
        let (cos, sin) = (table("cos"), table("sin"));
        let [y] = b.qk_norm_rope(&Scope::root(), ["norm_q"], [x], EPS, self.heads, [cos, sin])?;
        Ok(y)
    }
}

/// a + b.
pub(in crate::bench) struct Add {
    pub(in crate::bench) rows: usize,
    pub(in crate::bench) columns: usize,
}

impl Operation for Add {
    fn shape(&self) -> String {
        format!("rows={} columns={}", self.rows, self.columns)
    }

    fn inputs(&self) -> Inputs {
        let shape = [self.rows, self.columns];
        named([("a", random(&shape, 1.0, 1)), ("b", random(&shape, 1.0, 2))])
    }

    fn sample(&self, inputs: &Inputs) -> Inputs {
        sample(inputs, self.rows, &["a", "b"])
    }

    fn sampled(&self, result: &[f32]) -> Vec<f32> {
        pick(result, self.columns, &sampled(self.rows))
    }

    fn build(&self, b: &mut Builder<'_>, extent: Extent) -> Result<Value> {
        let mut input = |name| b.input(name, &[count(self.rows, extent), self.columns]);
        let (left, right) = (input("a"), input("b"));
        b.add(left, right)
    }
}
