//! Random graphs with every operation, and their weights and inputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinora_graph::experts::{Scoring, Source};
use kinora_graph::{
    Activation, Attention, Builder, Epilogue, Gate, Graph, HostTensor, Modulation, Norm, NormKind, Padding, Rows,
    Scope, Scores, UnaryOp, Value,
};
use kinora_quant::{DType, Rotation, Tensor, Weights};
use kinora_shaders::call::Random;

/// A graph and what it needs to run.
pub(crate) struct Specimen {
    pub(crate) graph: Graph,
    pub(crate) weights: Arc<dyn Weights>,
    pub(crate) inputs: BTreeMap<String, HostTensor>,
}

impl Specimen {
    /// The inputs as an executor takes them.
    pub(crate) fn inputs(&self) -> Vec<(&str, &HostTensor)> {
        self.inputs.iter().map(|(n, t)| (n.as_str(), t)).collect()
    }
}

/// Tensors under construction.
pub(crate) struct Tensors {
    pub(crate) random: Random,
    map: BTreeMap<String, Tensor<'static>>,
}

impl Tensors {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            map: BTreeMap::new(),
        }
    }

    /// A number from `low` to `high`.
    pub(crate) fn size(&mut self, low: usize, high: usize) -> usize {
        low + self.random.below((high - low + 1) as u32) as usize
    }

    pub(crate) fn add(&mut self, name: &str, shape: &[usize], dtype: DType) {
        let count = shape.iter().product();
        let values = self.random.floats(count, 0.5);
        let bytes = match dtype {
            DType::F64 => values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect(),
            _ => dtype
                .encode(*shape.last().expect("a tensor has dimensions"), &values)
                .unwrap(),
        };
        self.map
            .insert(name.to_owned(), Tensor::new(dtype, shape, bytes).unwrap());
    }

    /// Weight and bias.
    pub(crate) fn layer(&mut self, name: &str, shape: &[usize], dtype: DType) {
        self.add(&format!("{name}.weight"), shape, dtype);
        self.add(&format!("{name}.bias"), &shape[..1], DType::F32);
    }

    pub(crate) fn finish(self) -> Arc<dyn Weights> {
        Arc::new(self.map)
    }
}

/// Layers and norms that are named together: stored alike or not, with few rows and many.
pub(crate) fn together(seed: u64) -> Specimen {
    let mut t = Tensors::new(seed);
    let (heads, half, length) = (t.size(1, 3), 32, [70, 5][seed as usize % 2]);
    let width = 2 * half * heads;
    let stored = [DType::F32, DType::BF16, DType::Int8, DType::Q8_0][seed as usize % 4];
    for name in ["alike.q", "alike.k", "alike.v"] {
        t.layer(name, &[width, width], stored);
    }
    for (name, dtype) in [
        ("mixed.q", DType::BF16),
        ("mixed.k", DType::BF16),
        ("mixed.v", DType::F32),
    ] {
        t.layer(name, &[width, width], dtype);
    }
    // 37 rows of 33 elements of two bytes are no whole words.
    for (name, k) in [("odd.k", width), ("odd.v", width), ("ragged.k", 33), ("ragged.v", 33)] {
        t.add(&format!("{name}.weight"), &[37, k], DType::BF16);
    }
    for norm in ["norm_q", "norm_k"] {
        t.add(&format!("{norm}.weight"), &[width], DType::F32);
    }
    let mut random = Random::new(seed + 1);
    let weights = t.finish();
    let mut b = Builder::new(&weights);
    let root = Scope::root();
    let (x, thin) = (b.input("x", &[length, width]), b.input("thin", &[length, 33]));
    let [cos, sin] = ["cos", "sin"].map(|name| b.input(name, &[length, half]));
    let [q, k, v] = b.linears(&root.enter("alike"), ["q", "k", "v"], x, width).unwrap();
    let [q, k] = b
        .qk_norm_rope(&root, ["norm_q", "norm_k"], [q, k], 1e-6, heads, [cos, sin])
        .unwrap();
    let mut outputs = vec![q, k, v];
    outputs.extend(b.linears(&root.enter("mixed"), ["q", "k", "v"], x, width).unwrap());
    outputs.extend(b.linears(&root.enter("odd"), ["k", "v"], x, 37).unwrap());
    outputs.extend(b.linears(&root.enter("ragged"), ["k", "v"], thin, 37).unwrap());
    for (index, value) in outputs.into_iter().enumerate() {
        b.output(&index.to_string(), value);
    }
    let graph = b.finish();
    let inputs = inputs(&graph, &mut random, 1);
    Specimen { graph, weights, inputs }
}

/// Random values for every input; ids and row indices below `limit`.
pub(crate) fn inputs(graph: &Graph, random: &mut Random, limit: u32) -> BTreeMap<String, HostTensor> {
    graph
        .inputs()
        .map(|(name, value)| {
            let node = graph.node(value);
            let count = node.elements();
            let tensor = match node.element_type {
                kinora_graph::ElementType::F32 => HostTensor::f32(&node.shape, random.floats(count, 1.0)),
                kinora_graph::ElementType::U32 => {
                    HostTensor::u32(&node.shape, (0..count).map(|_| random.below(limit)).collect())
                }
            };
            (name.to_owned(), tensor)
        })
        .collect()
}

/// Parts of a transformer.
pub(crate) fn transformer(seed: u64) -> Specimen {
    let mut t = Tensors::new(seed);
    let (heads, half) = (t.size(1, 3), t.size(1, 40));
    let (width, length, keys) = (2 * half * heads, t.size(1, 70), t.size(1, 50));
    let (hidden, vocabulary) = (t.size(1, 150), 3 + t.size(0, 30));
    let types = [DType::F32, DType::F16, DType::BF16, DType::F64];
    for (index, (name, shape)) in [
        ("q", [width, width]),
        ("kv", [2 * width, width]),
        ("up", [hidden, width]),
        ("gate", [hidden, width]),
        ("down", [width, hidden]),
    ]
    .into_iter()
    .enumerate()
    {
        t.layer(name, &shape, types[(index + seed as usize) % 4]);
    }
    t.add("table", &[vocabulary, width], DType::BF16);
    for name in ["norm.weight", "norm.bias"] {
        t.add(name, &[width], DType::F16);
    }
    let mut random = t.random.clone();
    let weights = t.finish();
    let mut b = Builder::new(&weights);
    let root = Scope::root();
    let ids = b.input_u32("ids", &[keys]);
    let context = b.gather(&root, "table", ids, vocabulary, width).unwrap();
    let x = b.input("x", &[length, width]);
    let modulation = b.input("modulation", &[3, 3 * width + 2]);
    let rows = b.input_u32("rows", &[length]);
    let indexed = if seed.is_multiple_of(2) {
        Rows::Indexed(rows)
    } else {
        Rows::First
    };
    let m = Modulation {
        table: modulation,
        shift: 1,
        scale: width + 1,
        rows: indexed,
    };
    let normed = b.modulated_norm(&root, "modulated", x, 1e-6, m).unwrap();
    let q = b
        .linear(&root, "q", normed, width, Epilogue::Activation(Activation::None))
        .unwrap();
    let kv = |b: &mut Builder<'_>, part: usize| {
        let none = Epilogue::Activation(Activation::None);
        b.linear_rows(&root, "kv", context, 2 * width, part * width..(part + 1) * width, none)
            .unwrap()
    };
    let (k, v) = (kv(&mut b, 0), kv(&mut b, 1));
    let angles = |b: &mut Builder<'_>, name: &str| b.input(name, &[length, half]);
    let (cos, sin) = (angles(&mut b, "cos"), angles(&mut b, "sin"));
    let [q] = b.qk_norm_rope(&root, ["norm"], [q], 1e-6, heads, [cos, sin]).unwrap();
    let with_bias = !seed.is_multiple_of(3);
    let bias = with_bias.then(|| b.input("bias", &[length + keys - 1, heads]));
    let mask = with_bias.then(|| b.input("mask", &[keys]));
    let scale = 1.0 / (2.0 * half as f32).sqrt();
    let op = Attention {
        q,
        k,
        v,
        heads,
        scale,
        bias,
        mask,
        blocks: None,
        scores: Scores::Float,
    };
    let attended = b.attention(&root, "attention", op).unwrap();
    let gate = Some(Gate {
        table: modulation,
        column: 2 * width + 2,
        rows: indexed,
    });
    let x = b
        .linear(&root, "q", attended, width, Epilogue::Residual { residual: x, gate })
        .unwrap();
    let y = b.layer_norm(&root, "norm", x, 1e-6).unwrap();
    let up = b
        .linear(&root, "up", y, hidden, Epilogue::Activation(Activation::GeluErf))
        .unwrap();
    let gated = b
        .linear_precise(&root, "gate", y, hidden, Epilogue::GeluTanhTimes(up))
        .unwrap();
    let x = b
        .linear(
            &root,
            "down",
            gated,
            width,
            Epilogue::Residual {
                residual: x,
                gate: None,
            },
        )
        .unwrap();
    let row = b.slice(x, 0, length - 1..length).unwrap();
    let silu = b
        .linear(&root, "up", row, hidden, Epilogue::Activation(Activation::Silu))
        .unwrap();
    let last = b
        .linear(&root, "down", silu, width, Epilogue::Activation(Activation::GeluTanh))
        .unwrap();
    let x = b.add(x, last).unwrap();
    let coefficients = b.constant(&[3], &[0.5, -1.5, 0.25]);
    let x = b.combine(coefficients, &[x, y, attended]).unwrap();
    let flipped = b
        .permute(
            x,
            &[length, heads, half, 2],
            &[1, 0, 3, 2],
            0,
            &[heads, length, 2 * half],
        )
        .unwrap();
    let batched = Attention {
        q: flipped,
        k: flipped,
        v: flipped,
        heads: 1,
        scale,
        bias: None,
        mask: None,
        blocks: None,
        scores: Scores::Float,
    };
    let batched = b.attention(&root, "batched", batched).unwrap();
    b.output("out", batched);
    let graph = b.finish();
    let inputs = inputs(&graph, &mut random, 3);
    Specimen { graph, weights, inputs }
}

/// Parts of a causal autoencoder. Reads the state `cache` and sets it where `cached`.
pub(crate) fn autoencoder(seed: u64, cached: bool) -> Specimen {
    let mut t = Tensors::new(seed);
    let (frames, height, width) = (t.size(1, 3), 2 * t.size(1, 4), 2 * t.size(1, 4));
    let (c, out) = (t.size(1, 20), t.size(1, 70));
    t.layer("conv", &[out, c, 3, 3, 3], DType::F32);
    t.layer("down", &[c, out, 3, 3], DType::BF16);
    t.layer("time", &[2 * out, out, 3, 1, 1], DType::F16);
    t.add("gamma", &[out, 1, 1, 1], DType::F32);
    let mut random = t.random.clone();
    let weights = t.finish();
    let mut b = Builder::new(&weights);
    let root = Scope::root();
    let x = b.input("x", &[frames, height, width, c]);
    let cache = cached.then(|| b.state("cache", &[2, height, width, c]));
    let pad = |front| Padding {
        front,
        ..Padding::SPACE_1
    };
    let front = if cached { 0 } else { 2 };
    let y = b
        .conv3d(&root, "conv", x, cache, out, [3; 3], [1; 3], pad(front), None)
        .unwrap();
    let gamma = b.parameter(&root, "gamma", &[out]).unwrap();
    let norm = |x: Value, kind, activation| Norm {
        x,
        kind,
        eps: 1e-6,
        weight: Some(gamma),
        bias: None,
        modulation: None,
        activation,
    };
    let y = b.norm(&root, "l2", norm(y, NormKind::L2, Activation::Silu)).unwrap();
    let z = b.norm(&root, "rms", norm(y, NormKind::Rms, Activation::None)).unwrap();
    let y = b.add(y, z).unwrap();
    let asymmetric = Padding {
        bottom: 1,
        right: 1,
        ..Padding::default()
    };
    let down = b
        .conv3d(&root, "down", y, None, c, [1, 3, 3], [1, 2, 2], asymmetric, None)
        .unwrap();
    let up = b.upsample_nearest(down, 2).unwrap();
    let back = b
        .conv3d(&root, "conv", up, None, out, [3; 3], [1; 3], pad(2), Some(y))
        .unwrap();
    let time = b.conv3d(
        &root,
        "time",
        back,
        None,
        2 * out,
        [3, 1, 1],
        [1; 3],
        Padding {
            front: 2,
            ..Padding::default()
        },
        None,
    );
    let time = time.unwrap();
    let shape = [2 * frames, height, width, out];
    let doubled = b
        .permute(time, &[frames, height, width, 2, out], &[0, 3, 1, 2, 4], 0, &shape)
        .unwrap();
    let mean = b
        .permute(
            doubled,
            &[2 * frames, height / 2, 2, width / 2, 2, out],
            &[0, 1, 3, 5, 2, 4],
            2,
            &[2 * frames, height / 2, width / 2, out],
        )
        .unwrap();
    let tokens = b.reshape(mean, &[2 * frames * height * width / 4, out]).unwrap();
    let wide = {
        let zeros = b.fill(&[2 * frames * height * width / 4, out], 0.25);
        b.mul(tokens, zeros).unwrap()
    };
    let row = b.slice(tokens, 0, 0..1).unwrap();
    let sum = b.add(wide, row).unwrap();
    let clamped = b.unary(UnaryOp::Clamp { low: -0.7, high: 0.6 }, sum);
    let last = b.activation(Activation::Silu, clamped);
    let all = b.concat(&[last, tokens, row]).unwrap();
    b.output("out", all);
    let padded = b.concat(&[x, x, x]).unwrap();
    let kept = b.slice(padded, 0, 3 * frames - 2..3 * frames).unwrap();
    b.set_state("cache", kept);
    let graph = b.finish();
    let inputs = inputs(&graph, &mut random, 1);
    Specimen { graph, weights, inputs }
}

/// Layers of quantised types, and a layer with experts.
pub(crate) fn quantized(seed: u64) -> Specimen {
    let mut t = Tensors::new(seed);
    let (length, width) = (t.size(1, 90), 256);
    let rotated = DType::Int8ConvRot([Rotation::G16, Rotation::G64, Rotation::G256][seed as usize % 3]);
    // Two layers read the same rotated rows, one others.
    for (name, dtype) in [
        ("a", rotated),
        ("b", rotated),
        ("c", DType::Int8),
        ("d", DType::Nvfp4),
        ("e", DType::Q4_0),
    ] {
        t.layer(name, &[70, width], dtype);
    }
    t.add("d.pre_quant_scale", &[width], DType::F32);
    let (experts, hidden) = (t.size(12, 20), t.size(24, 40));
    t.add(
        "up.weight",
        &[experts, 2 * hidden, width],
        [DType::Q8_0, rotated, DType::BF16][seed as usize % 3],
    );
    t.add("up.bias", &[experts, 2 * hidden], DType::F32);
    t.add("down.weight", &[experts, width, hidden], DType::F16);
    let mut random = t.random.clone();
    let weights = t.finish();
    let mut b = Builder::new(&weights);
    let root = Scope::root();
    let x = b.input("x", &[length, width]);
    let none = Epilogue::Activation(Activation::None);
    let silu = Epilogue::Activation(Activation::Silu);
    for (name, epilogue) in [("a", none), ("b", silu), ("c", none), ("d", silu), ("e", none)] {
        let y = b.linear(&root, name, x, 70, epilogue).unwrap();
        b.output(name, y);
    }
    let y = b.linear_weight_only(&root, "a", x, 70, 3..68, silu).unwrap();
    b.output("weight only", y);
    let logits = b.input("logits", &[length, experts]);
    let (ids, shares) = b.route(&root, logits, 3, Scoring::Softmax, true, 1.5).unwrap();
    let groups = b.group_by_expert(&root, "groups", ids).unwrap();
    let mut part = |rows, activation| {
        b.grouped_linear(&root, "up", x, Source::Tokens, groups, 2 * hidden, rows, activation)
            .unwrap()
    };
    let (gate, up) = (
        part(0..hidden, Activation::Silu),
        part(hidden..2 * hidden, Activation::None),
    );
    let y = b.mul(gate, up).unwrap();
    let y = b
        .grouped_linear(
            &root,
            "down",
            y,
            Source::Places,
            groups,
            width,
            0..width,
            Activation::None,
        )
        .unwrap();
    let y = b.scatter_experts(&root, "sum", y, groups, shares).unwrap();
    b.output("experts", y);
    let graph = b.finish();
    let inputs = inputs(&graph, &mut random, 1);
    Specimen { graph, weights, inputs }
}

/// Attention with int8 scores, over several blocks of the keys' mean.
pub(crate) fn int8_attention(seed: u64) -> Specimen {
    let mut t = Tensors::new(seed);
    let (queries, keys, heads) = (t.size(1, 150), t.size(1, 400), t.size(1, 5));
    let head = 16 * t.size(1, 8);
    let mut random = t.random.clone();
    let weights = t.finish();
    let mut b = Builder::new(&weights);
    let q = b.input("q", &[queries, heads * head]);
    let k = b.input("k", &[keys, heads * head]);
    let v = b.input("v", &[keys, heads * head]);
    let with_bias = seed.is_multiple_of(2);
    let op = Attention {
        q,
        k,
        v,
        heads,
        scale: 1.0 / (head as f32).sqrt(),
        bias: with_bias.then(|| b.input("bias", &[queries + keys - 1, heads])),
        mask: with_bias.then(|| b.input("mask", &[keys])),
        blocks: None,
        scores: Scores::Int8,
    };
    let y = b.attention(&Scope::root(), "int8", op).unwrap();
    b.output("out", y);
    let graph = b.finish();
    let inputs = inputs(&graph, &mut random, 1);
    Specimen { graph, weights, inputs }
}

/// Attention alone, of heads of `head_dim` elements; with a bias (1), a mask (2), blocks (4) or blocks of each head (12) as
/// the bits of `seed` say.
pub(crate) fn attention(seed: u64, head_dim: usize) -> Specimen {
    let mut t = Tensors::new(seed);
    let (batch, queries, keys, heads) = (t.size(1, 3), t.size(1, 150), t.size(65, 200), t.size(1, 2));
    let mut random = t.random.clone();
    let weights = t.finish();
    let mut b = Builder::new(&weights);
    let width = heads * head_dim;
    let q = b.input("q", &[batch, queries, width]);
    let [k, v] = ["k", "v"].map(|name| b.input(name, &[batch, keys, width]));
    let bias = (seed & 1 != 0).then(|| b.input("bias", &[queries + keys - 1, heads]));
    let mask = (seed & 2 != 0).then(|| b.input("mask", &[keys]));
    let sets = if seed & 8 != 0 { heads } else { 1 };
    let blocks = [
        sets,
        queries.div_ceil(Attention::BLOCK),
        keys.div_ceil(Attention::BLOCK),
    ];
    let axes = usize::from(seed & 8 == 0)..3;
    let value = (seed & 4 != 0).then(|| b.input("blocks", &blocks[axes.clone()]));
    let op = Attention {
        q,
        k,
        v,
        heads,
        scale: 1.0 / (head_dim as f32).sqrt(),
        bias,
        mask,
        blocks: value,
        scores: Scores::Float,
    };
    let y = b.attention(&Scope::root(), "attention", op).unwrap();
    b.output("out", y);
    let graph = b.finish();
    let mut inputs = inputs(&graph, &mut random, 1);
    if let Some(mask) = inputs.get_mut("mask") {
        let hidden = |key| if key % 3 == 1 { f32::MIN } else { 0.0 };
        *mask = HostTensor::f32(&[keys], (0..keys).map(hidden).collect());
    }
    if let Some(input) = inputs.get_mut("blocks") {
        // The first queries of the first head see nothing.
        let seen = |block| block >= blocks[2] && random.below(3) > 0;
        let seen = (0..blocks.iter().product())
            .map(seen)
            .map(|seen| f32::from(u8::from(seen)));
        *input = HostTensor::f32(&blocks[axes], seen.collect());
    }
    Specimen { graph, weights, inputs }
}
