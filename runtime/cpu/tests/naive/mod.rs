//! Runs a graph and holds every operation of it against the naive version of its kernel.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinora_cpu::CpuExecutor;
use kinora_graph::experts::{Scoring, Source};
use kinora_graph::{
    Activation, BinaryOp, Builder, Epilogue, Executor, Graph, HostData, HostTensor, Matrix, MatrixLayout, NoControl,
    Node, NormKind, Op, Precision, Rows, Scores, UnaryOp, Value,
};
use kinora_quant::int8::quantize_row;
use kinora_quant::{DType, Tensor, Weights};
use kinora_shaders as naive;
use kinora_shaders::call::Random;
use kinora_shaders::{Factors, Features, WeightType, flags};

/// Largest allowed |difference| over the largest |expected| of an operation's result.
fn tolerance(op: &Op) -> f32 {
    match op {
        // Rounding errors of large scores (some tens in these tests) are factors of the result.
        Op::Attention(_) => 2e-5,
        _ => 3e-6,
    }
}

/// A graph's surroundings: a checkpoint in memory, and inputs.
#[derive(Default)]
pub(crate) struct Setting {
    tensors: BTreeMap<String, Tensor<'static>>,
    inputs: Vec<(String, HostTensor)>,
}

impl Setting {
    /// Adds a tensor of random numbers in ± `scale`.
    pub(crate) fn tensor(&mut self, random: &mut Random, name: &str, dtype: DType, shape: &[usize], scale: f32) {
        let values = random.floats(shape.iter().product(), scale);
        let bytes = dtype.encode(*shape.last().unwrap(), &values).unwrap();
        self.tensors
            .insert(name.to_owned(), Tensor::new(dtype, shape, bytes).unwrap());
    }

    /// Adds an input.
    pub(crate) fn input(&mut self, name: &str, tensor: HostTensor) {
        self.inputs.push((name.to_owned(), tensor));
    }

    /// Adds an input of random numbers in ± `scale`.
    pub(crate) fn random_input(&mut self, random: &mut Random, name: &str, shape: &[usize], scale: f32) {
        self.input(
            name,
            HostTensor::f32(shape, random.floats(shape.iter().product(), scale)),
        );
    }

    /// Builds a graph with the inputs as values by name, runs it and compares each operation.
    pub(crate) fn check(
        self,
        precision: Precision,
        build: impl FnOnce(&mut Builder<'_>, &BTreeMap<String, Value>) -> Value,
    ) {
        let weights: Arc<dyn Weights> = Arc::new(self.tensors);
        let mut builder = Builder::new(&*weights);
        let mut values = BTreeMap::new();
        for (name, tensor) in &self.inputs {
            let value = match tensor.element_type() {
                kinora_graph::ElementType::F32 => builder.input(name, &tensor.shape),
                kinora_graph::ElementType::U32 => builder.input_u32(name, &tensor.shape),
            };
            values.insert(name.clone(), value);
        }
        let out = build(&mut builder, &values);
        builder.output("out", out);
        let graph = builder.finish();

        let run = |graph: Graph| {
            let mut cpu = CpuExecutor::new(precision);
            let program = cpu.compile(graph, &weights).unwrap();
            let inputs: Vec<_> = self
                .inputs
                .iter()
                .map(|(name, tensor)| (name.as_str(), tensor))
                .collect();
            cpu.run(program, &inputs, &mut NoControl).unwrap()
        };
        let every = run(graph.with_all_outputs());
        // Outputs keep operands from being changed in place: the plain run takes other paths to the same bits.
        assert_eq!(run(graph.clone())["out"], every[&format!("{:05}", out.index())]);

        let mut known: BTreeMap<Value, HostTensor> = BTreeMap::new();
        for value in graph.values() {
            let node = graph.node(value);
            let found = match &node.op {
                Op::Input { name } => self.inputs.iter().find(|(n, _)| n == name).unwrap().1.clone(),
                Op::Parameter { name } => HostTensor::f32(&node.shape, weights.tensor(name).unwrap().to_f32().unwrap()),
                Op::Constant { data } => HostTensor::f32(&node.shape, data.clone()),
                Op::Fill { value } => HostTensor::f32(&node.shape, vec![*value; node.elements()]),
                _ => {
                    let found = &every[&format!("{:05}", value.index())];
                    compare(
                        node,
                        &numbers(found),
                        &expected(&graph, node, &known, &*weights, precision),
                    );
                    found.clone()
                }
            };
            known.insert(value, found);
        }
    }
}

/// The elements as numbers, be they ids.
fn numbers(tensor: &HostTensor) -> Vec<f32> {
    match &tensor.data {
        HostData::F32(values) => values.clone(),
        HostData::U32(ids) => ids.iter().map(|id| *id as f32).collect(),
    }
}

/// `x` as a product with `matrix` has it.
fn rotated(x: &[f32], matrix: &Matrix) -> Vec<f32> {
    let mut x = x.to_vec();
    if let Some(rotation) = matrix.rotation() {
        rotation.rotate(&mut x);
    }
    x
}

/// Rows of `k` elements as integers, and their scales.
fn quantized(x: &[f32], k: usize) -> (Vec<f32>, Vec<f32>) {
    let mut bytes = vec![0; x.len()];
    let rows = x.chunks(k).zip(bytes.chunks_mut(k));
    let scales = rows.map(|(row, bytes)| quantize_row(row, bytes)).collect();
    (bytes.into_iter().map(f32::from).collect(), scales)
}

/// Bytes and scales of the rows of an int8 matrix.
fn stored_bytes(weights: &dyn Weights, matrix: &Matrix) -> (Vec<f32>, Vec<f32>) {
    let tensor = weights.tensor(&matrix.name).unwrap();
    let rows = tensor
        .data
        .chunks(matrix.row_bytes())
        .skip(matrix.rows.start)
        .take(matrix.n());
    let scale = |row: &[u8]| f32::from_le_bytes(row[matrix.k..matrix.k + 4].try_into().unwrap());
    let bytes = |row: &[u8]| row[..matrix.k].iter().map(|b| f32::from(*b as i8)).collect::<Vec<_>>();
    (rows.clone().flat_map(bytes).collect(), rows.map(scale).collect())
}

fn compare(node: &Node, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{:?}", node.op);
    let scale = expected.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let fits = (f - e).abs() <= tolerance(&node.op) * scale;
        assert!(
            fits,
            "element {i}: {f} instead of {e} (largest {scale}) in {:?} -> {:?}",
            node.op, node.shape
        );
    }
}

/// The numbers that int8 attention multiplies.
fn int8_heads(x: &[f32], heads: u32, head_dim: u32, smooth: bool) -> Vec<f32> {
    use naive::quantize_heads::{Params, QuantizeHeads, dequantize, reference, words};
    let width = (heads * head_dim) as usize;
    let p = Params {
        rows: (x.len() / width) as u32,
        heads,
        head_dim,
        first_row: 0,
    };
    let mut out = vec![0; (p.rows * words(heads, head_dim)) as usize];
    let mean = kinora_quant::int8::column_means(x, width);
    reference(QuantizeHeads { smooth }, &p, x, &mean, &mut out);
    dequantize(heads, head_dim, &out)
}

/// What the kernels' naive versions make of the operands.
fn expected(
    graph: &Graph,
    node: &Node,
    known: &BTreeMap<Value, HostTensor>,
    weights: &dyn Weights,
    precision: Precision,
) -> Vec<f32> {
    let get = |value: Value| known[&value].as_f32().unwrap();
    let optional = |value: Option<Value>| value.map_or(&[][..], get);
    let flag = |bit: u32, present: bool| if present { bit } else { 0 };
    let indices = |rows: Rows| match rows {
        Rows::First => (&[][..], 0),
        Rows::Indexed(value) => (known[&value].as_u32().unwrap(), flags::ROWS),
    };
    let weight = |matrix: &Matrix| decode(weights, matrix);
    let held = Factors::choose(precision == Precision::F16, Features::default(), 0);
    let count = node.elements() as u32;
    let mut out = vec![f32::NAN; node.elements()];
    match &node.op {
        Op::Linear(op) => {
            let (n, k) = (op.weight.n() as u32, op.weight.k as u32);
            let mut p = naive::linear::Params {
                m: node.rows() as u32,
                n,
                k,
                out_stride: n,
                flags: flag(flags::BIAS, op.bias.is_some()),
                ..Default::default()
            };
            let (mut residual, mut table, mut rows) = (&[][..], &[][..], &[][..]);
            let epilogue = match op.epilogue {
                Epilogue::Activation(a) => naive::linear::Epilogue::Activation(activation(a)),
                Epilogue::GeluTanhTimes(other) => {
                    residual = get(other);
                    naive::linear::Epilogue::GeluTanhTimes
                }
                Epilogue::Residual { residual: other, gate } => {
                    residual = get(other);
                    if let Some(gate) = gate {
                        table = get(gate.table);
                        let flag;
                        (rows, flag) = indices(gate.rows);
                        p.flags |= flags::TABLE | flag;
                        p.gate_column = gate.column as u32;
                        p.table_stride = graph.node(gate.table).columns() as u32;
                    }
                    naive::linear::Epilogue::Residual
                }
            };
            let x = rotated(get(op.x), &op.weight);
            let mut factors = naive::linear::Operands {
                x: &x,
                weight: &weight(&op.weight),
                bias: optional(op.bias),
                residual,
                table,
                rows,
                ..Default::default()
            };
            let (bytes, scales, weight_scales);
            let mut arithmetic = naive::linear::Arithmetic::Float {
                weight: WeightType::F32,
                factors: if op.precise { Factors::F32 } else { held },
            };
            let integers;
            if op.quantizes() {
                arithmetic = naive::linear::Arithmetic::Int8;
                (bytes, scales) = quantized(&x, op.weight.k);
                (integers, weight_scales) = stored_bytes(weights, &op.weight);
                factors.x = &bytes;
                factors.x_scales = &scales;
                factors.weight = &integers;
                factors.weight_scales = &weight_scales;
            }
            let kernel = naive::linear::Linear {
                arithmetic,
                epilogue,
                tile: naive::linear::Tile::Square,
            };
            naive::linear::reference(&kernel, &p, factors, &mut out);
        }
        Op::Conv3d(op) => {
            let [frames, height, width, channels] = graph.node(op.x).shape[..] else {
                panic!()
            };
            let cached = op.cache.map_or(0, |cache| graph.node(cache).shape[0]);
            let [kt, kh, kw] = op.kernel;
            let n = op.weight.n() as u32;
            let p = naive::conv3d::Params {
                m: node.rows() as u32,
                n,
                k: op.weight.k as u32,
                out_stride: n,
                flags: flag(flags::BIAS, op.bias.is_some()) | flag(flags::RESIDUAL, op.residual.is_some()),
                input: [cached, frames, height, width].map(|n| n as u32),
                output: [node.shape[1], node.shape[2], 0, 0].map(|n| n as u32),
                kernel: [kt, kh, kw, channels].map(|n| n as u32),
                stride: [op.stride[0], op.stride[1], op.stride[2], 0].map(|n| n as u32),
                padding: [op.padding.front, op.padding.top, op.padding.left, 0].map(|n| n as u32),
                ..Default::default()
            };
            let kernel = naive::conv3d::Conv3d {
                weight: WeightType::F32,
                factors: held,
                tile: naive::linear::Tile::Square,
                by_fours: false,
            };
            let operands = naive::conv3d::Operands {
                x: get(op.x),
                cache: optional(op.cache),
                weight: &weight(&op.weight),
                bias: optional(op.bias),
                residual: optional(op.residual),
            };
            naive::conv3d::reference(&kernel, &p, operands, &mut out);
        }
        Op::Attention(op) => {
            let (q, k) = (&graph.node(op.q).shape, &graph.node(op.k).shape);
            let head_dim = (node.columns() / op.heads) as u32;
            let p = naive::attention::Params {
                queries: q[q.len() - 2] as u32,
                query_length: q[q.len() - 2] as u32,
                key_length: k[k.len() - 2] as u32,
                heads: op.heads as u32,
                head_dim,
                batch: if q.len() == 3 { q[0] as u32 } else { 1 },
                flags: flag(flags::BIAS, op.bias.is_some())
                    | flag(flags::MASK, op.mask.is_some())
                    | flag(flags::BLOCKS, op.blocks.is_some()),
                scale: op.scale,
                head_blocks: match op.blocks.map(|blocks| graph.node(blocks).shape.as_slice()) {
                    Some([_, down, across]) => (down * across) as u32,
                    _ => 0,
                },
                ..Default::default()
            };
            let tile = naive::attention::Tile::Side4;
            let float = naive::attention::Attention::choose(head_dim, tile, held.rounded()).unwrap();
            let kernel = naive::attention::Attention {
                int8: op.scores == Scores::Int8,
                ..float
            };
            let factor = |value, smooth| match op.scores {
                Scores::Float => get(value).to_vec(),
                Scores::Int8 => int8_heads(get(value), op.heads as u32, head_dim, smooth),
            };
            let operands = naive::attention::Operands {
                q: &factor(op.q, false),
                k: &factor(op.k, true),
                v: get(op.v),
                bias: optional(op.bias),
                mask: optional(op.mask),
                blocks: optional(op.blocks),
            };
            naive::attention::reference(&kernel, &p, operands, &mut out);
        }
        Op::Norm(op) => {
            let mut p = naive::norm::Params {
                rows: node.rows() as u32,
                columns: node.columns() as u32,
                flags: flag(flags::WEIGHT, op.weight.is_some()) | flag(flags::BIAS, op.bias.is_some()),
                eps: op.eps,
                ..Default::default()
            };
            let (mut table, mut rows) = (&[][..], &[][..]);
            if let Some(m) = op.modulation {
                table = get(m.table);
                let flag;
                (rows, flag) = indices(m.rows);
                p.flags |= flags::TABLE | flag;
                (p.shift_column, p.scale_column) = (m.shift as u32, m.scale as u32);
                p.table_stride = graph.node(m.table).columns() as u32;
            }
            let kernel = naive::norm::Norm {
                kind: match op.kind {
                    NormKind::Layer => naive::norm::NormKind::Layer,
                    NormKind::Rms => naive::norm::NormKind::Rms,
                    NormKind::L2 => naive::norm::NormKind::L2,
                },
                activation: activation(op.activation),
                lanes: naive::norm::Lanes::L16,
                by_fours: false,
            };
            let operands = naive::norm::Operands {
                x: get(op.x),
                scale: optional(op.weight),
                bias: optional(op.bias),
                table,
                rows,
            };
            naive::norm::reference(&kernel, &p, operands, &mut out);
        }
        Op::QkNormRope(op) => {
            let p = naive::qk_norm_rope::Params {
                rows: node.rows() as u32,
                heads: op.heads as u32,
                head_dim: (node.columns() / op.heads) as u32,
                eps: op.eps,
                ..Default::default()
            };
            let operands = naive::qk_norm_rope::Operands {
                x: get(op.x),
                scale: get(op.weight),
                cosines: get(op.cos),
                sines: get(op.sin),
            };
            naive::qk_norm_rope::reference(&p, operands, &mut out);
        }
        Op::Gather { ids, table } => {
            let p = naive::gather::Params {
                rows: node.rows() as u32,
                k: table.k as u32,
                ids: table.n() as u32,
                ..Default::default()
            };
            naive::gather::reference(&p, &weight(table), known[ids].as_u32().unwrap(), &mut out);
        }
        Op::TopK { logits } => {
            let p = naive::top_k::Params {
                rows: node.rows() as u32,
                columns: graph.node(*logits).columns() as u32,
                k: node.columns() as u32,
                first_row: 0,
            };
            let mut ids = vec![0; node.elements()];
            naive::top_k::reference(&p, get(*logits), &mut ids);
            out = ids.into_iter().map(|id| id as f32).collect();
        }
        Op::ExpertWeights(op) => {
            let kernel = naive::expert_weights::ExpertWeights {
                scoring: match op.scoring {
                    Scoring::Softmax => naive::expert_weights::Scoring::Softmax,
                    Scoring::SoftmaxOfChosen => naive::expert_weights::Scoring::SoftmaxOfChosen,
                    Scoring::Sigmoid => naive::expert_weights::Scoring::Sigmoid,
                },
                normalize: op.normalize,
            };
            let p = naive::expert_weights::Params {
                rows: node.rows() as u32,
                columns: graph.node(op.logits).columns() as u32,
                k: node.columns() as u32,
                scale: op.scale,
                ..Default::default()
            };
            let ids = known[&op.ids].as_u32().unwrap();
            naive::expert_weights::reference(&kernel, &p, get(op.logits), ids, &mut out);
        }
        Op::GroupByExpert { ids, grouping } => {
            let p = naive::group_by_expert::Params {
                slots: grouping.slots as u32,
                experts: grouping.experts as u32,
                first_expert: 0,
                last_expert: grouping.experts as u32,
            };
            let mut groups = vec![0; node.elements()];
            naive::group_by_expert::reference(&p, known[ids].as_u32().unwrap(), &mut groups);
            out = groups.into_iter().map(|i| i as f32).collect();
        }
        Op::GroupedLinear(op) => {
            let kernel = naive::grouped_linear::GroupedLinear {
                weight: WeightType::F32,
                factors: held,
                from_tokens: op.source == Source::Tokens,
                activation: activation(op.activation),
            };
            let p = naive::grouped_linear::Params {
                n: op.rows.len() as u32,
                k: op.weight.k as u32,
                slots: op.grouping.slots as u32,
                experts: op.grouping.experts as u32,
                last_expert: op.grouping.experts as u32,
                expert_rows: op.expert_rows() as u32,
                first_row: op.rows.start as u32,
                per_row: (op.grouping.slots / graph.node(op.x).rows()) as u32,
                flags: flag(flags::BIAS, op.bias.is_some()),
                ..Default::default()
            };
            let operands = naive::grouped_linear::Operands {
                x: &rotated(get(op.x), &op.weight),
                weight: &weight(&op.weight),
                groups: known[&op.groups].as_u32().unwrap(),
                bias: optional(op.bias),
            };
            naive::grouped_linear::reference(&kernel, &p, operands, &mut out);
        }
        Op::ScatterExperts {
            x,
            groups,
            grouping,
            weights,
        } => {
            let p = naive::scatter_experts::Params {
                rows: node.rows() as u32,
                columns: node.columns() as u32,
                k: graph.node(*weights).columns() as u32,
                slots: grouping.slots as u32,
                ..Default::default()
            };
            let operands = naive::scatter_experts::Operands {
                x: get(*x),
                groups: known[groups].as_u32().unwrap(),
                weights: get(*weights),
            };
            naive::scatter_experts::reference(&p, operands, &mut out);
        }
        Op::Rearrange { x, spec } => {
            let p = naive::rearrange::Params::new(&spec.sizes, &spec.strides, spec.offset, spec.reduce);
            naive::rearrange::reference(&p, get(*x), &mut out);
        }
        Op::Concat { inputs } => out = inputs.iter().flat_map(|v| get(*v)).copied().collect(),
        Op::Unary { op, x } => {
            let mut p = naive::unary::Params {
                count,
                ..Default::default()
            };
            let kernel = match *op {
                UnaryOp::Activation(a) => naive::unary::Unary::Activation(activation(a)),
                UnaryOp::Clamp { low, high } => {
                    (p.low, p.high) = (low, high);
                    naive::unary::Unary::Clamp
                }
            };
            naive::unary::reference(&kernel, &p, get(*x), &mut out);
        }
        Op::Binary { op, a, b } => {
            let kernel = match op {
                BinaryOp::Add => naive::binary::Binary::Add,
                BinaryOp::Mul => naive::binary::Binary::Mul,
            };
            let p = naive::binary::Params {
                count,
                b_count: get(*b).len() as u32,
                ..Default::default()
            };
            naive::binary::reference(&kernel, &p, get(*a), get(*b), &mut out);
        }
        Op::Combine { coefficients, inputs } => {
            let inputs: Vec<&[f32]> = inputs.iter().map(|v| get(*v)).collect();
            let p = naive::combine::Params {
                count,
                inputs: inputs.len() as u32,
                ..Default::default()
            };
            naive::combine::reference(&p, get(*coefficients), &inputs, &mut out);
        }
        op => panic!("{op:?} is a leaf"),
    }
    out
}

fn activation(activation: Activation) -> naive::Activation {
    match activation {
        Activation::None => naive::Activation::None,
        Activation::Silu => naive::Activation::Silu,
        Activation::GeluTanh => naive::Activation::GeluTanh,
        Activation::GeluErf => naive::Activation::GeluErf,
    }
}

/// The rows of a weight in the order of its layout, one element after another.
fn decode(weights: &dyn Weights, matrix: &Matrix) -> Vec<f32> {
    if matrix.rotation().is_some() {
        // As stored: what it is multiplied with is rotated instead.
        let (bytes, scales) = stored_bytes(weights, matrix);
        let rows = bytes.chunks(matrix.k).zip(scales);
        return rows
            .flat_map(|(row, scale)| row.iter().map(move |q| q * scale))
            .collect();
    }
    let all = weights.tensor(&matrix.name).unwrap().to_f32().unwrap();
    let rows = &all[matrix.rows.start * matrix.k..matrix.rows.end * matrix.k];
    match matrix.layout {
        MatrixLayout::RowMajor => rows.to_vec(),
        MatrixLayout::ChannelsLast { channels, taps } => (0..rows.len())
            .map(|i| {
                let (row, tap, channel) = (i / matrix.k, i % matrix.k / channels, i % channels);
                rows[row * matrix.k + channel * taps + tap]
            })
            .collect(),
    }
}
