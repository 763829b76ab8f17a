//! The operations: a small closed vocabulary of diffusion transformers and causal autoencoders.
//!
//! Fusions are operations that the model names (a linear layer with its epilogue, a norm with its
//! modulation), not patterns that a compiler hunts for.

use std::ops::Range;

use kinora_quant::{DType, Rotation};

use crate::experts::{ExpertWeights, GroupedLinear, Grouping};
use crate::{Rearrange, Scores, Value};

/// How the elements of a weight are ordered for the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatrixLayout {
    /// As in the file: `[N, K]` with K contiguous.
    RowMajor,
    /// A convolution kernel, `[O, C, kt, kh, kw]` in the file, reordered to `[O, kt, kh, kw, C]`
    /// so that K runs over taps with contiguous channels.
    ChannelsLast {
        /// Input channels.
        channels: usize,
        /// kt · kh · kw.
        taps: usize,
    },
}

impl MatrixLayout {
    /// Whether elements of a row change places on their way from the file.
    pub fn moves_elements(self) -> bool {
        match self {
            Self::RowMajor => false,
            Self::ChannelsLast { channels, taps } => channels > 1 && taps > 1,
        }
    }
}

/// A weight matrix `[N, K]` of a file, kept in its stored type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matrix {
    /// Name in the model's canonical naming.
    pub name: String,
    /// Stored type.
    pub dtype: DType,
    /// Output features: the rows that this operation uses.
    pub rows: Range<usize>,
    /// Input features.
    pub k: usize,
    /// Order of the elements.
    pub layout: MatrixLayout,
}

impl Matrix {
    /// Number of rows used.
    pub fn n(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of the rows used, as stored.
    pub fn bytes(&self) -> usize {
        self.n() * self.row_bytes()
    }

    /// The rotation of the rows' groups: what they are multiplied with has to be rotated alike.
    pub fn rotation(&self) -> Option<Rotation> {
        match self.dtype {
            DType::Int8ConvRot(rotation) => Some(rotation),
            _ => None,
        }
    }

    /// Bytes of a row, as stored. (Builders refuse rows that hold no whole blocks.)
    pub fn row_bytes(&self) -> usize {
        self.dtype.row_bytes(self.k).unwrap_or(0)
    }
}

/// Pointwise functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// x
    #[default]
    None,
    /// x / (1 + exp(-x))
    Silu,
    /// 0.5 x (1 + tanh(sqrt(2/π) (x + 0.044715 x³)))
    GeluTanh,
    /// 0.5 x (1 + erf(x / sqrt 2))
    GeluErf,
}

/// Which row of a table `[R, W]` serves which row of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rows {
    /// Row 0 serves all.
    First,
    /// A `u32` value with one table row index per activation row.
    Indexed(Value),
}

/// A per-channel gate taken from columns `column .. column + N` of `table`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gate {
    /// `[R, W]`
    pub table: Value,
    /// First column.
    pub column: usize,
    /// Row choice.
    pub rows: Rows,
}

/// What a linear layer does with its product `y = x Wᵀ + bias` before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// activation(y)
    Activation(Activation),
    /// gelu_tanh(y) · other, `other` of the shape of y
    GeluTanhTimes(Value),
    /// residual + gate · y (gate 1 where there is none)
    Residual {
        /// Of the shape of y.
        residual: Value,
        /// Per-channel factor.
        gate: Option<Gate>,
    },
}

/// `epilogue(x Wᵀ + bias)`; x `[…, K]` → `[…, N]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// `[…, K]`
    pub x: Value,
    /// `[N, K]`
    pub weight: Matrix,
    /// `[N]`
    pub bias: Option<Value>,
    /// See [`Epilogue`].
    pub epilogue: Epilogue,
    /// Never round the operands to f16, whatever the run's precision (they may overflow).
    pub precise: bool,
    /// Never quantise x, whatever the weight's type: as the reference has it for int8 layers with a LoRA.
    pub weight_only: bool,
}

impl Linear {
    /// Whether the rows of x are quantised to int8, and the product is one of integers.
    pub fn quantizes(&self) -> bool {
        matches!(self.weight.dtype, DType::Int8 | DType::Int8ConvRot(_)) && !self.weight_only
    }
}

/// Statistics of a norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormKind {
    /// (x - mean) / sqrt(variance + eps)
    Layer,
    /// x / sqrt(mean(x²) + eps)
    Rms,
    /// sqrt(C) · x / max(‖x‖₂, eps): the norm of Wan's autoencoders
    L2,
}

/// Adaptive scale and shift: `y · (1 + scale) + shift`, both `C` columns of `table` `[R, W]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Modulation {
    /// `[R, W]`
    pub table: Value,
    /// First column of the shift.
    pub shift: usize,
    /// First column of the scale.
    pub scale: usize,
    /// Row choice.
    pub rows: Rows,
}

/// Norm over the last dimension, then weight and bias, then modulation, then activation.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// `[…, C]`
    pub x: Value,
    /// Statistics.
    pub kind: NormKind,
    /// See [`NormKind`].
    pub eps: f32,
    /// `[C]`
    pub weight: Option<Value>,
    /// `[C]`
    pub bias: Option<Value>,
    /// Scale and shift by timestep.
    pub modulation: Option<Modulation>,
    /// None or SiLU.
    pub activation: Activation,
}

/// RMS norm over the full width (all heads together), then rotation of adjacent pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct QkNormRope {
    /// `[L, heads · head_dim]`
    pub x: Value,
    /// `[heads · head_dim]`
    pub weight: Value,
    /// Added to the mean square.
    pub eps: f32,
    /// Number of heads.
    pub heads: usize,
    /// `[L, head_dim / 2]`
    pub cos: Value,
    /// `[L, head_dim / 2]`
    pub sin: Value,
}

/// softmax(scale · q kᵀ + bias + mask) v, for each batch and head; of all scores, or of those in some blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// `[Lq, heads · head_dim]` or `[B, Lq, heads · head_dim]`
    pub q: Value,
    /// `[Lk, heads · head_dim]` or `[B, Lk, heads · head_dim]`
    pub k: Value,
    /// Of the shape of k.
    pub v: Value,
    /// Number of heads.
    pub heads: usize,
    /// Factor of q kᵀ.
    pub scale: f32,
    /// Relative position bias `[Lq + Lk - 1, heads]`; entry `j - i + Lq - 1` is added for query i and key j.
    pub bias: Option<Value>,
    /// `[Lk]`, added to the scores of each key (0 or a large negative number).
    pub mask: Option<Value>,
    /// `[⌈Lq / 64⌉, ⌈Lk / 64⌉]`, or `[heads, ⌈Lq / 64⌉, ⌈Lk / 64⌉]`, the same for each batch. Where a number is zero, these 64
    /// queries ([`Attention::BLOCK`]) do not see these 64 keys, and nothing is computed for them; any other lets them. A query that sees
    /// no key gives zeros.
    pub blocks: Option<Value>,
    /// See [`Scores`].
    pub scores: Scores,
}

impl Attention {
    /// Queries and keys of a block.
    pub const BLOCK: usize = 64;
}

/// Zeros around a feature map. In time there are only zeros (or a cache) in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Padding {
    /// Zero frames in front of the cache and the input.
    pub front: usize,
    /// Zero rows above.
    pub top: usize,
    /// Zero rows below.
    pub bottom: usize,
    /// Zero columns on the left.
    pub left: usize,
    /// Zero columns on the right.
    pub right: usize,
}

impl Padding {
    /// One zero on each side in space.
    pub const SPACE_1: Self = Self {
        front: 0,
        top: 1,
        bottom: 1,
        left: 1,
        right: 1,
    };
}

/// Convolution over `[T, H, W, C]` as an implicit matrix product; frames of `cache` come before x.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv3d {
    /// `[T, H, W, C]`
    pub x: Value,
    /// `[Tc, H, W, C]`: the last frames of the chunk before.
    pub cache: Option<Value>,
    /// `[O, kt · kh · kw · C]`, channels last.
    pub weight: Matrix,
    /// `[O]`
    pub bias: Option<Value>,
    /// kt, kh, kw
    pub kernel: [usize; 3],
    /// In time, height and width.
    pub stride: [usize; 3],
    /// Zeros around the input.
    pub padding: Padding,
    /// Added to the result, of its shape.
    pub residual: Option<Value>,
}

impl Conv3d {
    /// Output frames, height, width for an input `[t, h, w]` (cache included in t); `None` where the kernel does not fit.
    pub fn output(&self, input: [usize; 3]) -> Option<[usize; 3]> {
        let p = &self.padding;
        let padded = [
            input[0] + p.front,
            input[1] + p.top + p.bottom,
            input[2] + p.left + p.right,
        ];
        let mut out = [0; 3];
        for axis in 0..3 {
            out[axis] = padded[axis].checked_sub(self.kernel[axis])? / self.stride[axis] + 1;
        }
        Some(out)
    }
}

/// Functions of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UnaryOp {
    /// An activation.
    Activation(Activation),
    /// min(max(x, low), high)
    Clamp {
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
    },
}

/// Functions of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// a + b
    Add,
    /// a · b
    Mul,
}

/// An operation. Leaves have no operands.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Leaf: given by the host at each run.
    Input {
        /// Name.
        name: String,
    },
    /// Leaf: kept by the executor from run to run (feature caches, keys and values of the text).
    State {
        /// Name.
        name: String,
    },
    /// Leaf: a small tensor of the file, decoded to f32 (norm weights, biases, modulation tables).
    Parameter {
        /// Name in the model's canonical naming.
        name: String,
    },
    /// Leaf: known when the graph is built.
    Constant {
        /// The elements.
        data: Vec<f32>,
    },
    /// Leaf: one number everywhere.
    Fill {
        /// The number.
        value: f32,
    },
    /// See [`Linear`].
    Linear(Linear),
    /// See [`Norm`].
    Norm(Norm),
    /// See [`QkNormRope`].
    QkNormRope(QkNormRope),
    /// See [`Attention`].
    Attention(Attention),
    /// See [`Conv3d`].
    Conv3d(Conv3d),
    /// Rows of `table` chosen by `ids` `[N]` (u32) → `[N, K]`.
    Gather {
        /// u32
        ids: Value,
        /// `[V, K]`
        table: Matrix,
    },
    /// See [`Rearrange`].
    Rearrange {
        /// Input.
        x: Value,
        /// Where each output element comes from.
        spec: Rearrange,
    },
    /// Concatenation along the first dimension.
    Concat {
        /// At least one; equal in all other dimensions.
        inputs: Vec<Value>,
    },
    /// Columns of the k highest elements of each row, highest first, of equal ones the first (u32): `[T, E]` → `[T, k]`.
    TopK {
        /// `[T, E]`
        logits: Value,
    },
    /// See [`ExpertWeights`].
    ExpertWeights(ExpertWeights),
    /// Slots sorted by expert (u32): `[T, k]` → see [`Grouping`].
    GroupByExpert {
        /// u32, `[T, k]`
        ids: Value,
        /// What the result holds.
        grouping: Grouping,
    },
    /// See [`GroupedLinear`].
    GroupedLinear(GroupedLinear),
    /// Σ weight · row over the slots of each token: `[T · k, N]` → `[T, N]`.
    ScatterExperts {
        /// `[T · k, N]`, sorted by expert.
        x: Value,
        /// See [`Grouping`].
        groups: Value,
        /// What `groups` holds.
        grouping: Grouping,
        /// `[T, k]`
        weights: Value,
    },
    /// One value, elementwise.
    Unary {
        /// Function.
        op: UnaryOp,
        /// Input.
        x: Value,
    },
    /// Two values, elementwise; `b` may have a single row, which then serves every row of `a`.
    Binary {
        /// Function.
        op: BinaryOp,
        /// First operand: gives the shape.
        a: Value,
        /// Second operand.
        b: Value,
    },
    /// Σ coefficientᵢ · inputᵢ: guidance and sampler steps. Coefficients are a value, so that they
    /// may change from step to step.
    Combine {
        /// `[n]`
        coefficients: Value,
        /// n values of one shape, 1 to 4.
        inputs: Vec<Value>,
    },
}

impl Op {
    /// The operation's name in plans, profiles and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::State { .. } => "state",
            Self::Parameter { .. } => "parameter",
            Self::Constant { .. } => "constant",
            Self::Fill { .. } => "fill",
            Self::Linear(_) => "linear",
            Self::Norm(_) => "norm",
            Self::QkNormRope(_) => "qk_norm_rope",
            Self::Attention(_) => "attention",
            Self::Conv3d(_) => "conv3d",
            Self::Gather { .. } => "gather",
            Self::Rearrange { .. } => "rearrange",
            Self::Concat { .. } => "concat",
            Self::TopK { .. } => "top_k",
            Self::ExpertWeights(_) => "expert_weights",
            Self::GroupByExpert { .. } => "group_by_expert",
            Self::GroupedLinear(_) => "grouped_linear",
            Self::ScatterExperts { .. } => "scatter_experts",
            Self::Unary { .. } => "unary",
            Self::Binary { .. } => "binary",
            Self::Combine { .. } => "combine",
        }
    }

    /// Whether the operation computes nothing by itself.
    pub fn is_leaf(&self) -> bool {
        matches!(
            self,
            Self::Input { .. }
                | Self::State { .. }
                | Self::Parameter { .. }
                | Self::Constant { .. }
                | Self::Fill { .. }
        )
    }

    /// The weight matrix of the operation, where it has one.
    pub fn matrix(&self) -> Option<&Matrix> {
        match self {
            Self::Linear(op) => Some(&op.weight),
            Self::Conv3d(op) => Some(&op.weight),
            Self::Gather { table, .. } => Some(table),
            Self::GroupedLinear(op) => Some(&op.weight),
            _ => None,
        }
    }

    /// The values that the operation reads. The order is fixed for each kind of operation.
    pub fn operands(&self) -> Vec<Value> {
        let mut out = Vec::new();
        self.clone().map_operands(&mut |v| {
            out.push(v);
            v
        });
        out
    }

    /// The same operation on other values: each operand is replaced by `f(operand)`.
    pub fn map_operands(mut self, f: &mut dyn FnMut(Value) -> Value) -> Self {
        let mut map = |v: &mut Value| *v = f(*v);
        match &mut self {
            Self::Input { .. }
            | Self::State { .. }
            | Self::Parameter { .. }
            | Self::Constant { .. }
            | Self::Fill { .. } => {}
            Self::Linear(op) => {
                map(&mut op.x);
                op.bias.iter_mut().for_each(&mut map);
                match &mut op.epilogue {
                    Epilogue::Activation(_) => {}
                    Epilogue::GeluTanhTimes(other) => map(other),
                    Epilogue::Residual { residual, gate } => {
                        map(residual);
                        if let Some(gate) = gate {
                            map(&mut gate.table);
                            map_rows(&mut gate.rows, &mut map);
                        }
                    }
                }
            }
            Self::Norm(op) => {
                map(&mut op.x);
                op.weight.iter_mut().for_each(&mut map);
                op.bias.iter_mut().for_each(&mut map);
                if let Some(modulation) = &mut op.modulation {
                    map(&mut modulation.table);
                    map_rows(&mut modulation.rows, &mut map);
                }
            }
            Self::QkNormRope(op) => [&mut op.x, &mut op.weight, &mut op.cos, &mut op.sin]
                .into_iter()
                .for_each(map),
            Self::Attention(op) => {
                [&mut op.q, &mut op.k, &mut op.v].into_iter().for_each(&mut map);
                op.bias.iter_mut().for_each(&mut map);
                op.mask.iter_mut().for_each(&mut map);
                op.blocks.iter_mut().for_each(&mut map);
            }
            Self::Conv3d(op) => {
                map(&mut op.x);
                op.cache.iter_mut().for_each(&mut map);
                op.bias.iter_mut().for_each(&mut map);
                op.residual.iter_mut().for_each(&mut map);
            }
            Self::Gather { ids, .. } | Self::GroupByExpert { ids, .. } => map(ids),
            Self::TopK { logits } => map(logits),
            Self::ExpertWeights(op) => {
                map(&mut op.logits);
                map(&mut op.ids);
            }
            Self::GroupedLinear(op) => {
                map(&mut op.x);
                map(&mut op.groups);
                op.bias.iter_mut().for_each(map);
            }
            Self::ScatterExperts { x, groups, weights, .. } => [x, groups, weights].into_iter().for_each(map),
            Self::Rearrange { x, .. } | Self::Unary { x, .. } => map(x),
            Self::Concat { inputs } => inputs.iter_mut().for_each(map),
            Self::Binary { a, b, .. } => {
                map(a);
                map(b);
            }
            Self::Combine { coefficients, inputs } => {
                map(coefficients);
                inputs.iter_mut().for_each(map);
            }
        }
        self
    }
}

fn map_rows(rows: &mut Rows, map: &mut impl FnMut(&mut Value)) {
    if let Rows::Indexed(value) = rows {
        map(value);
    }
}
