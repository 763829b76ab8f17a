//! Builds graphs: one method per operation, each checks its shapes.

mod compute;
mod experts;
mod low_rank;
mod moves;
mod together;

pub use low_rank::{LORA_DOWN, LORA_UP};

use std::ops::Range;

use kinora_quant::{DType, Weights};

use crate::{ElementType, Error, Graph, Matrix, MatrixLayout, Node, Op, Result, Rows, Value};

/// Collects operations. Models reach weights through a [`Scope`].
pub struct Builder<'w> {
    graph: Graph,
    weights: &'w dyn Weights,
    label: String,
}

/// A place in a model: a prefix of weight names and labels.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    prefix: String,
}

impl Scope {
    /// The scope of a checkpoint's top level.
    pub fn root() -> Self {
        Self::default()
    }

    /// The scope `name` below this one.
    pub fn enter(&self, name: impl std::fmt::Display) -> Self {
        Self {
            prefix: self.name(&name.to_string()),
        }
    }

    /// Full name of a tensor of this scope.
    pub fn name(&self, tensor: &str) -> String {
        if self.prefix.is_empty() {
            tensor.to_owned()
        } else {
            format!("{}.{tensor}", self.prefix)
        }
    }
}

impl<'w> Builder<'w> {
    /// An empty graph over `weights`, whose names are the model's canonical ones.
    pub fn new(weights: &'w dyn Weights) -> Self {
        Self {
            graph: Graph::default(),
            weights,
            label: String::new(),
        }
    }

    /// The finished graph.
    pub fn finish(self) -> Graph {
        self.graph
    }

    /// Shape of a value.
    pub fn shape(&self, value: Value) -> &[usize] {
        &self.graph.node(value).shape
    }

    /// Whether the checkpoint has a tensor: optional parts of a model are built only where they are.
    pub fn has(&self, scope: &Scope, tensor: &str) -> bool {
        self.weights.info(&scope.name(tensor)).is_some()
    }

    /// Labels the operations that follow (for plans, profiles and errors).
    pub fn label(&mut self, scope: &Scope, name: &str) {
        self.label = scope.name(name);
    }

    // ---- leaves

    /// An input of activations.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Value {
        self.leaf(Op::Input { name: name.to_owned() }, shape, ElementType::F32, name)
    }

    /// An input of ids or row indices.
    pub fn input_u32(&mut self, name: &str, shape: &[usize]) -> Value {
        self.leaf(Op::Input { name: name.to_owned() }, shape, ElementType::U32, name)
    }

    /// The state `name` as the last program left it.
    pub fn state(&mut self, name: &str, shape: &[usize]) -> Value {
        self.leaf(Op::State { name: name.to_owned() }, shape, ElementType::F32, name)
    }

    /// A small tensor of the checkpoint, decoded to f32. `shape` may merge neighbouring dimensions of
    /// the stored one.
    pub fn parameter(&mut self, scope: &Scope, tensor: &str, shape: &[usize]) -> Result<Value> {
        let name = scope.name(tensor);
        self.check_weight(&name, shape)?;
        Ok(self.leaf(Op::Parameter { name: name.clone() }, shape, ElementType::F32, &name))
    }

    /// Numbers known now.
    pub fn constant(&mut self, shape: &[usize], data: &[f32]) -> Value {
        assert_eq!(
            shape.iter().product::<usize>(),
            data.len(),
            "{} values do not fill {shape:?}",
            data.len()
        );
        self.leaf(
            Op::Constant { data: data.to_vec() },
            shape,
            ElementType::F32,
            "constant",
        )
    }

    /// One number everywhere.
    pub fn fill(&mut self, shape: &[usize], value: f32) -> Value {
        self.leaf(Op::Fill { value }, shape, ElementType::F32, "fill")
    }

    // ---- marks

    /// Hands `value` back to the host after each run.
    pub fn output(&mut self, name: &str, value: Value) {
        self.graph.outputs.insert(name.to_owned(), value);
    }

    /// Keeps `value` as the state `name` when the run ends.
    pub fn set_state(&mut self, name: &str, value: Value) {
        self.graph.states.insert(name.to_owned(), value);
    }

    /// Names `value` for dumps and verification.
    pub fn tap(&mut self, name: &str, value: Value) {
        self.graph.taps.insert(name.to_owned(), value);
    }

    // ---- helpers

    fn leaf(&mut self, op: Op, shape: &[usize], element_type: ElementType, label: &str) -> Value {
        // The same parameter, input or state asked for twice is one value.
        let same = self.graph.nodes.iter().position(|node| {
            matches!(op, Op::Input { .. } | Op::State { .. } | Op::Parameter { .. })
                && node.op == op
                && node.shape == shape
        });
        if let Some(index) = same {
            return Value(index as u32);
        }
        self.graph.nodes.push(Node {
            op,
            shape: shape.to_vec(),
            element_type,
            label: label.to_owned(),
            beside: false,
        });
        Value(self.graph.nodes.len() as u32 - 1)
    }

    fn push(&mut self, op: Op, shape: Vec<usize>) -> Value {
        self.push_typed(op, shape, ElementType::F32)
    }

    fn push_typed(&mut self, op: Op, shape: Vec<usize>, element_type: ElementType) -> Value {
        self.graph.nodes.push(Node {
            op,
            shape,
            element_type,
            label: self.label.clone(),
            beside: false,
        });
        Value(self.graph.nodes.len() as u32 - 1)
    }

    fn matrix(&self, name: &str, shape: &[usize], rows: Range<usize>, layout: MatrixLayout) -> Result<Matrix> {
        let dtype = self.check_weight(name, shape)?;
        if dtype.row_bytes(shape[1..].iter().product()).is_none() {
            let block = dtype.format().block;
            let why = format!("rows of {:?} elements are no whole blocks of {block}", &shape[1..]);
            return Err(self.weight_error(name, dtype, why));
        }
        Ok(Matrix {
            name: name.to_owned(),
            dtype,
            rows,
            k: shape[1],
            layout,
        })
    }

    fn weight_error(&self, name: &str, dtype: DType, why: String) -> Error {
        Error::WeightType {
            origin: self.weights.origin(),
            name: name.to_owned(),
            dtype,
            why,
        }
    }

    /// The stored type of a tensor whose shape is `shape` or regroups it.
    fn check_weight(&self, name: &str, shape: &[usize]) -> Result<DType> {
        let info = self.weights.info(name).ok_or_else(|| self.weights.missing(name))?;
        if !regroups(&info.shape, shape) {
            return Err(Error::WeightShape {
                origin: self.weights.origin(),
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: info.shape,
            });
        }
        Ok(info.dtype)
    }

    fn expect(&self, op: &'static str, value: Value, shape: &[usize]) -> Result<()> {
        let node = self.graph.node(value);
        if node.shape == shape {
            return Ok(());
        }
        Err(self.shape_error(
            op,
            format!(
                "an operand ({}) has shape {:?}, {shape:?} is needed",
                node.label, node.shape
            ),
        ))
    }

    fn expect_table(
        &self,
        op: &'static str,
        table: Value,
        column: usize,
        width: usize,
        rows: Rows,
        x: Value,
    ) -> Result<()> {
        let node = self.graph.node(table);
        if node.shape.len() != 2 || column + width > node.columns() {
            return Err(self.shape_error(
                op,
                format!(
                    "a table of shape {:?} has no columns {column}..{}",
                    node.shape,
                    column + width
                ),
            ));
        }
        if let Rows::Indexed(index) = rows {
            self.expect(op, index, &[self.graph.node(x).rows()])?;
        }
        Ok(())
    }

    fn shape_error(&self, op: &'static str, why: String) -> Error {
        Error::Shape {
            op,
            label: self.label.clone(),
            why,
        }
    }
}

/// Whether `shape` is `found` with neighbouring dimensions merged and dimensions of size 1 dropped or added.
fn regroups(found: &[usize], shape: &[usize]) -> bool {
    let mut rest = found.iter().copied().filter(|n| *n != 1);
    for &size in shape.iter().filter(|n| **n != 1) {
        let mut merged = 1;
        while merged < size {
            let Some(next) = rest.next() else { return false };
            merged *= next;
        }
        if merged != size {
            return false;
        }
    }
    rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::regroups;

    #[test]
    fn weights_may_be_flattened_but_not_reshaped() {
        assert!(regroups(&[1, 6, 32], &[6, 32]));
        assert!(regroups(&[1, 6, 32], &[192]));
        assert!(regroups(&[8, 4, 1, 2, 2], &[8, 16]));
        assert!(regroups(&[8, 1, 1, 1], &[8]));
        assert!(!regroups(&[6, 32], &[32, 6]));
        assert!(!regroups(&[6, 32], &[6, 16]));
        assert!(!regroups(&[6, 0], &[6]));
    }
}
