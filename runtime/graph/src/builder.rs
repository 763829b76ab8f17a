//! Builds graphs: one method per operation, each checks its shapes.

use std::ops::Range;

use kinora_quant::{DType, Weights};

use crate::{
    Activation, Attention, BinaryOp, Conv3d, ElementType, Epilogue, Error, Graph, Linear, MAX_AXES, Matrix,
    MatrixLayout, Modulation, Node, Norm, NormKind, Op, Padding, QkNormRope, Rearrange, Result, Rows, UnaryOp, Value,
};

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

    // ---- matrix products

    /// `epilogue(x Wᵀ + bias)` with `tensor.weight` `[n, K]` and, where the checkpoint has it, `tensor.bias` `[n]`.
    pub fn linear(&mut self, scope: &Scope, tensor: &str, x: Value, n: usize, epilogue: Epilogue) -> Result<Value> {
        self.linear_rows(scope, tensor, x, n, 0..n, epilogue)
    }

    /// [`Self::linear`] with only some rows of a weight of `n` rows: one part of a fused projection.
    pub fn linear_rows(
        &mut self,
        scope: &Scope,
        tensor: &str,
        x: Value,
        n: usize,
        rows: Range<usize>,
        epilogue: Epilogue,
    ) -> Result<Value> {
        let (weight, bias) = self.weight_and_bias(scope, tensor, x, n, rows)?;
        self.push_linear(
            scope,
            tensor,
            Linear {
                x,
                weight,
                bias,
                epilogue,
                precise: false,
            },
        )
    }

    /// [`Self::linear`] whose operands are never rounded to f16.
    pub fn linear_precise(
        &mut self,
        scope: &Scope,
        tensor: &str,
        x: Value,
        n: usize,
        epilogue: Epilogue,
    ) -> Result<Value> {
        let (weight, bias) = self.weight_and_bias(scope, tensor, x, n, 0..n)?;
        self.push_linear(
            scope,
            tensor,
            Linear {
                x,
                weight,
                bias,
                epilogue,
                precise: true,
            },
        )
    }

    fn weight_and_bias(
        &mut self,
        scope: &Scope,
        tensor: &str,
        x: Value,
        n: usize,
        rows: Range<usize>,
    ) -> Result<(Matrix, Option<Value>)> {
        let scope = scope.enter(tensor);
        let k = self.graph.node(x).columns();
        let weight = self.matrix(&scope.name("weight"), &[n, k], rows.clone(), MatrixLayout::RowMajor)?;
        let bias = match self.has(&scope, "bias") {
            false => None,
            true => {
                let bias = self.parameter(&scope, "bias", &[n])?;
                Some(if rows == (0..n) {
                    bias
                } else {
                    self.slice(bias, 0, rows)?
                })
            }
        };
        Ok((weight, bias))
    }

    fn push_linear(&mut self, scope: &Scope, tensor: &str, op: Linear) -> Result<Value> {
        self.label(scope, tensor);
        let mut shape = self.shape(op.x).to_vec();
        *shape.last_mut().expect("a tensor has dimensions") = op.weight.n();
        match &op.epilogue {
            Epilogue::Activation(_) => {}
            Epilogue::GeluTanhTimes(other) => self.expect("linear", *other, &shape)?,
            Epilogue::Residual { residual, gate } => {
                self.expect("linear", *residual, &shape)?;
                if let Some(gate) = gate {
                    self.expect_table("linear", gate.table, gate.column, op.weight.n(), gate.rows, op.x)?;
                }
            }
        }
        Ok(self.push(Op::Linear(op), shape))
    }

    /// Rows of `tensor` `[vocabulary, k]` chosen by `ids` `[N]`.
    pub fn gather(&mut self, scope: &Scope, tensor: &str, ids: Value, vocabulary: usize, k: usize) -> Result<Value> {
        self.label(scope, tensor);
        let table = self.matrix(
            &scope.name(tensor),
            &[vocabulary, k],
            0..vocabulary,
            MatrixLayout::RowMajor,
        )?;
        let mut shape = self.shape(ids).to_vec();
        shape.push(k);
        Ok(self.push(Op::Gather { ids, table }, shape))
    }

    /// Convolution with `tensor.weight` `[out, C, kt, kh, kw]` (2-D ones `[out, C, kh, kw]` with kt = 1) and `tensor.bias`.
    #[expect(clippy::too_many_arguments, reason = "a convolution has these parameters")]
    pub fn conv3d(
        &mut self,
        scope: &Scope,
        tensor: &str,
        x: Value,
        cache: Option<Value>,
        out: usize,
        kernel: [usize; 3],
        stride: [usize; 3],
        padding: Padding,
        residual: Option<Value>,
    ) -> Result<Value> {
        self.label(scope, tensor);
        let &[t, h, w, c] = self.shape(x) else {
            return Err(self.shape_error(
                "conv3d",
                format!("the input must be [T, H, W, C], not {:?}", self.shape(x)),
            ));
        };
        let before = match cache {
            None => 0,
            Some(cache) => {
                let frames = self.shape(cache)[0];
                self.expect("conv3d", cache, &[frames, h, w, c])?;
                frames
            }
        };
        let scope = scope.enter(tensor);
        let taps = kernel.iter().product();
        let name = scope.name("weight");
        let mut weight = self.matrix(
            &name,
            &[out, c, kernel[0], kernel[1], kernel[2]],
            0..out,
            MatrixLayout::ChannelsLast { channels: c, taps },
        )?;
        weight.k = c * taps;
        let bias = if self.has(&scope, "bias") {
            Some(self.parameter(&scope, "bias", &[out])?)
        } else {
            None
        };
        let op = Conv3d {
            x,
            cache,
            weight,
            bias,
            kernel,
            stride,
            padding,
            residual,
        };
        let Some([ot, oh, ow]) = op.output([before + t, h, w]) else {
            return Err(self.shape_error(
                "conv3d",
                format!("a {kernel:?} kernel does not fit into {:?}", [before + t, h, w]),
            ));
        };
        let shape = vec![ot, oh, ow, out];
        if let Some(residual) = residual {
            self.expect("conv3d", residual, &shape)?;
        }
        Ok(self.push(Op::Conv3d(op), shape))
    }

    // ---- norms and attention

    /// See [`Norm`].
    pub fn norm(&mut self, scope: &Scope, name: &str, op: Norm) -> Result<Value> {
        self.label(scope, name);
        let shape = self.shape(op.x).to_vec();
        let columns = *shape.last().expect("a tensor has dimensions");
        for vector in op.weight.iter().chain(&op.bias) {
            self.expect("norm", *vector, &[columns])?;
        }
        if let Some(m) = &op.modulation {
            self.expect_table("norm", m.table, m.shift, columns, m.rows, op.x)?;
            self.expect_table("norm", m.table, m.scale, columns, m.rows, op.x)?;
        }
        Ok(self.push(Op::Norm(op), shape))
    }

    /// RMS norm with `tensor.weight`.
    pub fn rms_norm(&mut self, scope: &Scope, tensor: &str, x: Value, eps: f32) -> Result<Value> {
        let columns = self.graph.node(x).columns();
        let weight = Some(self.parameter(&scope.enter(tensor), "weight", &[columns])?);
        self.norm(
            scope,
            tensor,
            Norm {
                x,
                kind: NormKind::Rms,
                eps,
                weight,
                bias: None,
                modulation: None,
                activation: Activation::None,
            },
        )
    }

    /// Layer norm with `tensor.weight` and `tensor.bias`.
    pub fn layer_norm(&mut self, scope: &Scope, tensor: &str, x: Value, eps: f32) -> Result<Value> {
        let columns = self.graph.node(x).columns();
        let inner = scope.enter(tensor);
        let weight = Some(self.parameter(&inner, "weight", &[columns])?);
        let bias = Some(self.parameter(&inner, "bias", &[columns])?);
        self.norm(
            scope,
            tensor,
            Norm {
                x,
                kind: NormKind::Layer,
                eps,
                weight,
                bias,
                modulation: None,
                activation: Activation::None,
            },
        )
    }

    /// Layer norm without weights, then modulation.
    pub fn modulated_norm(
        &mut self,
        scope: &Scope,
        name: &str,
        x: Value,
        eps: f32,
        modulation: Modulation,
    ) -> Result<Value> {
        self.norm(
            scope,
            name,
            Norm {
                x,
                kind: NormKind::Layer,
                eps,
                weight: None,
                bias: None,
                modulation: Some(modulation),
                activation: Activation::None,
            },
        )
    }

    /// RMS norm over all heads with `tensor.weight`, then rotation; `cos` and `sin` are `[L, head_dim / 2]`.
    #[expect(clippy::too_many_arguments, reason = "the operation has these operands")]
    pub fn qk_norm_rope(
        &mut self,
        scope: &Scope,
        tensor: &str,
        x: Value,
        eps: f32,
        heads: usize,
        cos: Value,
        sin: Value,
    ) -> Result<Value> {
        let shape = self.shape(x).to_vec();
        let (rows, columns) = (self.graph.node(x).rows(), self.graph.node(x).columns());
        let weight = self.parameter(&scope.enter(tensor), "weight", &[columns])?;
        self.label(scope, tensor);
        if heads == 0 || columns % (2 * heads) != 0 {
            return Err(self.shape_error(
                "qk_norm_rope",
                format!("{columns} columns are not {heads} heads of even size"),
            ));
        }
        for table in [cos, sin] {
            self.expect("qk_norm_rope", table, &[rows, columns / heads / 2])?;
        }
        Ok(self.push(
            Op::QkNormRope(QkNormRope {
                x,
                weight,
                eps,
                heads,
                cos,
                sin,
            }),
            shape,
        ))
    }

    /// See [`Attention`].
    pub fn attention(&mut self, scope: &Scope, name: &str, op: Attention) -> Result<Value> {
        self.label(scope, name);
        let (q, k, v) = (
            self.shape(op.q).to_vec(),
            self.shape(op.k).to_vec(),
            self.shape(op.v).to_vec(),
        );
        let axes = q.len();
        let fits = (axes == 2 || axes == 3)
            && k == v
            && k.len() == axes
            && q[axes - 1] == k[axes - 1]
            && op.heads > 0
            && q[axes - 1].is_multiple_of(op.heads)
            && (axes == 2 || q[0] == k[0]);
        if !fits {
            return Err(self.shape_error(
                "attention",
                format!("q {q:?}, k {k:?}, v {v:?} with {} heads do not fit", op.heads),
            ));
        }
        let (queries, keys) = (q[axes - 2], k[axes - 2]);
        if let Some(bias) = op.bias {
            self.expect("attention", bias, &[queries + keys - 1, op.heads])?;
        }
        if let Some(mask) = op.mask {
            self.expect("attention", mask, &[keys])?;
        }
        Ok(self.push(Op::Attention(op), q))
    }

    // ---- elementwise

    /// See [`UnaryOp`].
    pub fn unary(&mut self, op: UnaryOp, x: Value) -> Value {
        let shape = self.shape(x).to_vec();
        self.push(Op::Unary { op, x }, shape)
    }

    /// An activation by itself.
    pub fn activation(&mut self, activation: Activation, x: Value) -> Value {
        self.unary(UnaryOp::Activation(activation), x)
    }

    /// a + b, see [`Op::Binary`].
    pub fn add(&mut self, a: Value, b: Value) -> Result<Value> {
        self.binary(BinaryOp::Add, a, b)
    }

    /// a · b, see [`Op::Binary`].
    pub fn mul(&mut self, a: Value, b: Value) -> Result<Value> {
        self.binary(BinaryOp::Mul, a, b)
    }

    fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Result<Value> {
        let shape = self.shape(a).to_vec();
        let (na, nb) = (self.graph.node(a), self.graph.node(b));
        let fits = na.shape == nb.shape || (nb.rows() == 1 && nb.columns() == na.columns());
        if !fits {
            return Err(self.shape_error("binary", format!("{:?} and {:?} do not fit", na.shape, nb.shape)));
        }
        Ok(self.push(Op::Binary { op, a, b }, shape))
    }

    /// Σ coefficientᵢ · inputᵢ, see [`Op::Combine`].
    pub fn combine(&mut self, coefficients: Value, inputs: &[Value]) -> Result<Value> {
        let shape = self.shape(inputs[0]).to_vec();
        self.expect("combine", coefficients, &[inputs.len()])?;
        for input in inputs {
            self.expect("combine", *input, &shape)?;
        }
        if inputs.len() > 4 {
            return Err(self.shape_error("combine", format!("{} inputs; 4 at most", inputs.len())));
        }
        Ok(self.push(
            Op::Combine {
                coefficients,
                inputs: inputs.to_vec(),
            },
            shape,
        ))
    }

    // ---- moving data

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

    /// Lets streaming split the graph after `value`.
    pub fn cut(&mut self, value: Value) {
        self.graph.cuts.push(value);
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
        });
        Value(self.graph.nodes.len() as u32 - 1)
    }

    fn push(&mut self, op: Op, shape: Vec<usize>) -> Value {
        self.graph.nodes.push(Node {
            op,
            shape,
            element_type: ElementType::F32,
            label: self.label.clone(),
        });
        Value(self.graph.nodes.len() as u32 - 1)
    }

    fn matrix(&self, name: &str, shape: &[usize], rows: Range<usize>, layout: MatrixLayout) -> Result<Matrix> {
        let dtype = self.check_weight(name, shape)?;
        Ok(Matrix {
            name: name.to_owned(),
            dtype,
            rows,
            k: shape[1],
            layout,
        })
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

/// Element strides of a row-major tensor.
fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    strides
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
