//! Operations that compute: products, norms, attention, elementwise functions.

use std::ops::Range;

use super::{Builder, Scope};
use crate::{
    Activation, Attention, BinaryOp, Conv3d, Epilogue, Linear, Matrix, MatrixLayout, Modulation, Norm, NormKind, Op,
    Padding, Result, UnaryOp, Value,
};

/// Most elements of a row whose products, each at most 127 · 128, add up within 32 bits.
const LONGEST_INT8: usize = i32::MAX as usize / (127 * 128);

impl Builder<'_> {
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
        let op = self.linear_op(scope, tensor, x, n, rows.clone(), epilogue)?;
        self.push_layer(scope, tensor, x, n, rows, op)
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
        let op = self.linear_op(scope, tensor, x, n, 0..n, epilogue)?;
        self.push_layer(scope, tensor, x, n, 0..n, Linear { precise: true, ..op })
    }

    /// [`Self::linear_rows`] that never quantises x, as layers with a LoRA are computed.
    pub fn linear_weight_only(
        &mut self,
        scope: &Scope,
        tensor: &str,
        x: Value,
        n: usize,
        rows: Range<usize>,
        epilogue: Epilogue,
    ) -> Result<Value> {
        let op = self.linear_op(scope, tensor, x, n, rows, epilogue)?;
        let weight_only = true;
        self.push_linear(scope, tensor, Linear { weight_only, ..op })
    }

    /// A linear layer, with its low-rank addition to the product with `x` where there is one.
    pub(super) fn push_layer(
        &mut self,
        scope: &Scope,
        tensor: &str,
        x: Value,
        n: usize,
        rows: Range<usize>,
        op: Linear,
    ) -> Result<Value> {
        match self.low_rank(&scope.enter(tensor), n, rows)? {
            None => self.push_linear(scope, tensor, op),
            Some(low_rank) => self.push_linear_with(scope, tensor, x, op, low_rank),
        }
    }

    pub(super) fn linear_op(
        &mut self,
        scope: &Scope,
        tensor: &str,
        x: Value,
        n: usize,
        rows: Range<usize>,
        epilogue: Epilogue,
    ) -> Result<Linear> {
        self.label(scope, tensor);
        let scope = scope.enter(tensor);
        let k = self.graph.node(x).columns();
        let weight = self.matrix(&scope.name("weight"), &[n, k], rows.clone(), MatrixLayout::RowMajor)?;
        // Activation-aware quantisation divides the weight's columns by what x is multiplied with here.
        let x = match self.has(&scope, "pre_quant_scale") {
            false => x,
            true => {
                let scale = self.parameter(&scope, "pre_quant_scale", &[k])?;
                self.mul(x, scale)?
            }
        };
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
        Ok(Linear {
            x,
            weight,
            bias,
            epilogue,
            precise: false,
            weight_only: false,
        })
    }

    pub(super) fn push_linear(&mut self, scope: &Scope, tensor: &str, op: Linear) -> Result<Value> {
        self.label(scope, tensor);
        if op.quantizes() && op.weight.k > LONGEST_INT8 {
            let why = format!(
                "sums of {} products of bytes may be more than 32 bits hold ({LONGEST_INT8} at most)",
                op.weight.k
            );
            return Err(self.weight_error(&op.weight.name, op.weight.dtype, why));
        }
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
        self.refuse_rotated(&table)?;
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
        let outer = scope;
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
        let weight = self.kernel(&scope.name("weight"), out, c, kernel)?;
        self.refuse_rotated(&weight)?;
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
        let Some(low_rank) = self.low_rank(&scope, out, 0..out)? else {
            return Ok(self.push(Op::Conv3d(op), shape));
        };
        let down = Conv3d {
            weight: self.kernel(&low_rank.down, low_rank.rank, c, kernel)?,
            bias: None,
            residual: None,
            ..op.clone()
        };
        let y = self.push(Op::Conv3d(op), shape);
        let thin = self.push(Op::Conv3d(down), vec![ot, oh, ow, low_rank.rank]);
        self.push_up(outer, tensor, thin, y, None, false, low_rank)
    }

    /// The kernel `name` `[out, c, kt, kh, kw]` of a convolution.
    fn kernel(&self, name: &str, out: usize, c: usize, [kt, kh, kw]: [usize; 3]) -> Result<Matrix> {
        let layout = MatrixLayout::ChannelsLast {
            channels: c,
            taps: kt * kh * kw,
        };
        let mut kernel = self.matrix(name, &[out, c, kt, kh, kw], 0..out, layout)?;
        kernel.k = c * kt * kh * kw;
        Ok(kernel)
    }

    /// Lookups and convolutions have no rows that could be rotated alike.
    fn refuse_rotated(&self, matrix: &Matrix) -> Result<()> {
        match matrix.rotation() {
            None => Ok(()),
            Some(_) => {
                let why = "only linear layers can have rotated weights".to_owned();
                Err(self.weight_error(&matrix.name, matrix.dtype, why))
            }
        }
    }

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

    /// See [`Attention`].
    pub fn attention(&mut self, scope: &Scope, name: &str, mut op: Attention) -> Result<Value> {
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
        if let Some(blocks) = op.blocks {
            let [down, across] = [queries, keys].map(|rows| rows.div_ceil(Attention::BLOCK));
            match self.shape(blocks).len() {
                2 => self.expect("attention", blocks, &[down, across])?,
                _ => self.expect("attention", blocks, &[op.heads, down, across])?,
            }
        }
        op.scores = op.scores.of(&q, op.heads);
        Ok(self.push(Op::Attention(op), q))
    }

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
}
