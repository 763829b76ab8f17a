//! Every operation on random shapes against the naive versions of the kernels.

mod naive;

use kinora_graph::experts::{Scoring, Source};
use kinora_graph::{
    Activation, Attention, Epilogue, Gate, HostTensor, Modulation, Norm, NormKind, Padding, Precision, Rearrange, Rows,
    Scope, Scores, UnaryOp,
};
use kinora_quant::{DType, Rotation};
use kinora_shaders::call::Random;
use naive::Setting;
use proptest::prelude::*;

const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];
const ACTIVATIONS: [Activation; 4] = [
    Activation::None,
    Activation::Silu,
    Activation::GeluTanh,
    Activation::GeluErf,
];

fn pick<T: Copy>(random: &mut Random, options: &[T]) -> T {
    options[random.below(options.len() as u32) as usize]
}

fn flip(random: &mut Random) -> bool {
    random.below(2) == 1
}

/// From `low` to `high`, inclusive.
fn size(random: &mut Random, low: usize, high: usize) -> usize {
    low + random.below((high - low + 1) as u32) as usize
}

fn precision(random: &mut Random) -> Precision {
    pick(random, &[Precision::F32, Precision::F16])
}

fn linear(seed: u64, [m, k, n]: [usize; 3]) {
    let random = &mut Random::new(seed);
    let mut setting = Setting::default();
    let dtype = pick(random, &FLOATS);
    let rows = n + size(random, 0, 5);
    let first = size(random, 0, rows - n);
    setting.tensor(random, "to.weight", dtype, &[rows, k], 1.0 / (k as f32).sqrt());
    if flip(random) {
        setting.tensor(random, "to.bias", DType::F32, &[rows], 1.0);
    }
    setting.random_input(random, "x", &[m, k], 1.5);
    setting.random_input(random, "other", &[m, n], 1.0);
    let table = [size(random, 1, 4), n + size(random, 0, 9)];
    let column = size(random, 0, table[1] - n);
    setting.random_input(random, "table", &table, 1.0);
    let ids = (0..m).map(|_| random.below(table[0] as u32)).collect();
    setting.input("rows", HostTensor::u32(&[m], ids));
    let kind = random.below(7);
    let precise = rows == n && flip(random);
    setting.check(precision(random), |b, v| {
        let gate = |rows| {
            Some(Gate {
                table: v["table"],
                column,
                rows,
            })
        };
        let epilogue = match kind {
            0..4 => Epilogue::Activation(ACTIVATIONS[kind as usize]),
            4 => Epilogue::GeluTanhTimes(v["other"]),
            5 => Epilogue::Residual {
                residual: v["other"],
                gate: None,
            },
            _ if m % 2 == 0 => Epilogue::Residual {
                residual: v["other"],
                gate: gate(Rows::First),
            },
            _ => Epilogue::Residual {
                residual: v["other"],
                gate: gate(Rows::Indexed(v["rows"])),
            },
        };
        if precise {
            return b.linear_precise(&Scope::root(), "to", v["x"], n, epilogue).unwrap();
        }
        b.linear_rows(&Scope::root(), "to", v["x"], rows, first..first + n, epilogue)
            .unwrap()
    });
}

#[test]
fn linear_layers_of_several_panels() {
    // 16 MiB of decoded weight are 2 of these 3 thousand rows.
    linear(1, [40, 2000, 3000]);
    linear(2, [3, 2000, 3000]);
}

/// Int8 weights: quantised rows of x, or numbers.
fn int8(seed: u64, [m, n]: [usize; 2]) {
    let random = &mut Random::new(seed);
    let mut setting = Setting::default();
    let dtype = pick(
        random,
        &[
            DType::Int8,
            DType::Int8ConvRot(Rotation::G16),
            DType::Int8ConvRot(Rotation::G64),
            DType::Int8ConvRot(Rotation::G1024),
        ],
    );
    let k = 37_usize.next_multiple_of(dtype.format().block) * size(random, 1, 3);
    let rows = n + size(random, 0, 5);
    setting.tensor(random, "to.weight", dtype, &[rows, k], 1.0 / (k as f32).sqrt());
    setting.tensor(random, "to.bias", DType::F32, &[rows], 1.0);
    setting.random_input(random, "x", &[m, k], 1.5);
    let weight_only = flip(random);
    setting.check(precision(random), |b, v| {
        let root = Scope::root();
        let silu = Epilogue::Activation(Activation::Silu);
        if weight_only {
            return b.linear_weight_only(&root, "to", v["x"], rows, 0..n, silu).unwrap();
        }
        b.linear_rows(&root, "to", v["x"], rows, rows - n..rows, silu).unwrap()
    });
}

#[test]
fn int8_sums_of_several_panels() {
    // 16 MiB of decoded weight are 2 of these 3 thousand rows.
    int8(1, [70, 3000]);
}

/// A layer with experts.
fn experts(seed: u64, tokens: usize) {
    let random = &mut Random::new(seed);
    let mut setting = Setting::default();
    let (count, k) = (size(random, 1, 20), size(random, 1, 4));
    let (count, width) = (count.max(k), size(random, 1, 40));
    let dtype = pick(
        random,
        &[
            DType::F32,
            DType::BF16,
            DType::Q8_0,
            DType::Int8,
            DType::Int8ConvRot(Rotation::G16),
        ],
    );
    let columns = dtype.format().block * size(random, 1, 3);
    setting.tensor(random, "up.weight", dtype, &[count, width + 3, columns], 0.5);
    setting.tensor(random, "up.bias", DType::F32, &[count, width + 3], 1.0);
    setting.tensor(random, "down.weight", DType::F16, &[count, columns, width], 0.5);
    setting.random_input(random, "x", &[tokens, columns], 1.5);
    setting.random_input(random, "logits", &[tokens, count], 4.0);
    let scoring = pick(random, &[Scoring::Softmax, Scoring::SoftmaxOfChosen, Scoring::Sigmoid]);
    let normalize = flip(random);
    setting.check(precision(random), |b, v| {
        let root = Scope::root();
        let (ids, weights) = b.route(&root, v["logits"], k, scoring, normalize, 1.5).unwrap();
        let groups = b.group_by_expert(&root, "groups", ids).unwrap();
        let hidden = b
            .grouped_linear(
                &root,
                "up",
                v["x"],
                Source::Tokens,
                groups,
                width + 3,
                2..width + 2,
                Activation::Silu,
            )
            .unwrap();
        let y = b
            .grouped_linear(
                &root,
                "down",
                hidden,
                Source::Places,
                groups,
                columns,
                0..columns,
                Activation::None,
            )
            .unwrap();
        b.scatter_experts(&root, "sum", y, groups, weights).unwrap()
    });
}

#[test]
fn experts_of_several_pieces() {
    experts(3, 300);
}

fn conv3d(seed: u64) {
    let random = &mut Random::new(seed);
    let mut setting = Setting::default();
    let kernel = [size(random, 1, 3), size(random, 1, 3), size(random, 1, 4)];
    let stride = [size(random, 1, 2), size(random, 1, 2), size(random, 1, 3)];
    let padding = Padding {
        front: size(random, 0, 2),
        top: size(random, 0, 2),
        bottom: size(random, 0, 2),
        left: size(random, 0, 3),
        right: size(random, 0, 3),
    };
    let (t, h, w) = (size(random, 3, 5), size(random, 3, 9), size(random, 4, 11));
    let (c, out, cached) = (size(random, 1, 20), size(random, 1, 20), size(random, 0, 2));
    let dtype = pick(random, &FLOATS);
    let taps: usize = kernel.iter().product();
    let shape = [out, c, kernel[0], kernel[1], kernel[2]];
    // Two-dimensional kernels are stored without the axis of time.
    let skip = usize::from(kernel[0] == 1 && flip(random));
    let stored: Vec<usize> = shape
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != 2 * skip || skip == 0)
        .map(|(_, n)| *n)
        .collect();
    setting.tensor(random, "conv.weight", dtype, &stored, 1.0 / ((c * taps) as f32).sqrt());
    if flip(random) {
        setting.tensor(random, "conv.bias", DType::BF16, &[out], 1.0);
    }
    setting.random_input(random, "x", &[t, h, w, c], 1.0);
    if cached > 0 {
        setting.random_input(random, "cache", &[cached, h, w, c], 1.0);
    }
    let with_residual = flip(random);
    setting.check(precision(random), |b, v| {
        let cache = v.get("cache").copied();
        let conv = |b: &mut kinora_graph::Builder<'_>, residual| {
            b.conv3d(
                &Scope::root(),
                "conv",
                v["x"],
                cache,
                out,
                kernel,
                stride,
                padding,
                residual,
            )
            .unwrap()
        };
        let y = conv(b, None);
        if with_residual { conv(b, Some(y)) } else { y }
    });
}

#[test]
fn convolutions_whose_patches_are_gathered_in_parts() {
    let random = &mut Random::new(5);
    let mut setting = Setting::default();
    setting.tensor(random, "conv.weight", DType::F32, &[5, 700, 3, 3, 3], 0.01);
    setting.random_input(random, "x", &[3, 9, 11, 700], 1.0);
    setting.check(Precision::F32, |b, v| {
        let padding = Padding {
            front: 2,
            ..Padding::SPACE_1
        };
        b.conv3d(&Scope::root(), "conv", v["x"], None, 5, [3; 3], [1; 3], padding, None)
            .unwrap()
    });
}

fn attention(seed: u64, [queries, keys]: [usize; 2], scores: Scores) {
    let random = &mut Random::new(seed);
    let mut setting = Setting::default();
    let (heads, head, batch) = match scores {
        Scores::Float => (size(random, 1, 3), size(random, 1, 40), size(random, 0, 2)),
        Scores::Int8 => (size(random, 1, 3), 16 * size(random, 1, 8), 0),
    };
    let shape = |length: usize| match batch {
        0 => vec![length, heads * head],
        n => vec![n, length, heads * head],
    };
    let scale = size(random, 1, 5) as f32;
    setting.random_input(random, "q", &shape(queries), scale);
    setting.random_input(random, "k", &shape(keys), scale);
    setting.random_input(random, "v", &shape(keys), 1.0);
    if flip(random) {
        setting.random_input(random, "bias", &[queries + keys - 1, heads], 3.0);
    }
    let masked = flip(random);
    if masked {
        let hidden = pick(random, &[-1e9, f32::MIN, f32::NEG_INFINITY]);
        let mask = (0..keys)
            .map(|i| if i == keys / 2 || flip(random) { 0.0 } else { hidden })
            .collect();
        setting.input("mask", HostTensor::f32(&[keys], mask));
    }
    if flip(random) {
        let blocks = [
            heads,
            queries.div_ceil(Attention::BLOCK),
            keys.div_ceil(Attention::BLOCK),
        ];
        let shape = &blocks[usize::from(flip(random))..];
        // A mask may hide all keys that a block shows.
        let seen = (0..shape.iter().product()).map(|_| f32::from(u8::from(masked || flip(random))));
        let seen = seen.collect();
        setting.input("blocks", HostTensor::f32(shape, seen));
    }
    setting.check(precision(random), |b, v| {
        let op = Attention {
            q: v["q"],
            k: v["k"],
            v: v["v"],
            heads,
            scale: 1.0 / (head as f32).sqrt(),
            bias: v.get("bias").copied(),
            mask: v.get("mask").copied(),
            blocks: v.get("blocks").copied(),
            scores,
        };
        b.attention(&Scope::root(), "attention", op).unwrap()
    });
}

#[test]
fn attention_over_several_blocks() {
    for seed in 0..4 {
        attention(seed, [300, 1100], Scores::Float);
        attention(seed, [300, 1100], Scores::Int8);
    }
}

#[test]
fn a_first_block_of_keys_may_be_masked_entirely() {
    let random = &mut Random::new(9);
    let mut setting = Setting::default();
    for name in ["q", "k", "v"] {
        setting.random_input(random, name, &[600, 8], 1.0);
    }
    let mask = (0..600)
        .map(|i| if i < 550 { f32::NEG_INFINITY } else { 0.0 })
        .collect();
    setting.input("mask", HostTensor::f32(&[600], mask));
    setting.check(Precision::F32, |b, v| {
        let op = Attention {
            q: v["q"],
            k: v["k"],
            v: v["v"],
            heads: 2,
            scale: 0.5,
            bias: None,
            mask: Some(v["mask"]),
            blocks: None,
            scores: Scores::Float,
        };
        b.attention(&Scope::root(), "attention", op).unwrap()
    });
}

fn norm(seed: u64) {
    let random = &mut Random::new(seed);
    let mut setting = Setting::default();
    let (rows, columns) = (size(random, 1, 300), size(random, 1, 200));
    setting.tensor(random, "n.weight", DType::F32, &[columns], 1.0);
    setting.tensor(random, "n.bias", DType::F16, &[columns], 1.0);
    setting.random_input(random, "x", &[rows, columns], 4.0);
    setting.random_input(random, "table", &[3, 2 * columns + 5], 1.0);
    let ids = (0..rows).map(|_| random.below(3)).collect();
    setting.input("rows", HostTensor::u32(&[rows], ids));
    let kind = pick(random, &[NormKind::Layer, NormKind::Rms, NormKind::L2]);
    let (weight, bias, modulated, indexed) = (flip(random), flip(random), flip(random), flip(random));
    let activation = pick(random, &ACTIVATIONS);
    setting.check(Precision::F16, |b, v| {
        let root = Scope::root().enter("n");
        let weight = weight.then(|| b.parameter(&root, "weight", &[columns]).unwrap());
        let bias = bias.then(|| b.parameter(&root, "bias", &[columns]).unwrap());
        let rows = if indexed { Rows::Indexed(v["rows"]) } else { Rows::First };
        let modulation = modulated.then_some(Modulation {
            table: v["table"],
            shift: 3,
            scale: columns + 4,
            rows,
        });
        b.norm(
            &root,
            "norm",
            Norm {
                x: v["x"],
                kind,
                eps: 1e-5,
                weight,
                bias,
                modulation,
                activation,
            },
        )
        .unwrap()
    });
}

fn qk_norm_rope(seed: u64) {
    let random = &mut Random::new(seed);
    let mut setting = Setting::default();
    let (rows, heads, half) = (size(random, 1, 90), size(random, 1, 5), size(random, 1, 20));
    setting.tensor(random, "q.weight", DType::BF16, &[heads * half * 2], 1.0);
    setting.random_input(random, "x", &[rows, heads * half * 2], 2.0);
    setting.random_input(random, "cos", &[rows, half], 1.0);
    setting.random_input(random, "sin", &[rows, half], 1.0);
    setting.check(Precision::F16, |b, v| {
        b.qk_norm_rope(&Scope::root(), ["q"], [v["x"]], 1e-6, heads, [v["cos"], v["sin"]])
            .unwrap()[0]
    });
}

fn gather(seed: u64) {
    let random = &mut Random::new(seed);
    let mut setting = Setting::default();
    let (vocabulary, k, n) = (size(random, 1, 50), size(random, 1, 40), size(random, 1, 70));
    let dtype = pick(random, &FLOATS);
    // A dimension of size 1 in front changes nothing.
    let stored = if flip(random) {
        vec![vocabulary, k]
    } else {
        vec![1, vocabulary, k]
    };
    setting.tensor(random, "table", dtype, &stored, 1.0);
    let ids = (0..n).map(|_| random.below(vocabulary as u32)).collect();
    setting.input("ids", HostTensor::u32(&[n], ids));
    setting.check(Precision::F16, |b, v| {
        b.gather(&Scope::root(), "table", v["ids"], vocabulary, k).unwrap()
    });
}

fn rearrange(seed: u64) {
    let random = &mut Random::new(seed);
    let mut setting = Setting::default();
    let axes = size(random, 1, 5);
    let sizes: Vec<usize> = (0..axes).map(|_| size(random, 1, 9)).collect();
    let strides: Vec<usize> = (0..axes).map(|_| pick(random, &[0, 1, 1, 2, 7, 30])).collect();
    let spec = Rearrange {
        sizes,
        strides,
        offset: size(random, 0, 10),
        reduce: size(random, 0, axes),
    };
    let unread = size(random, 0, 3);
    setting.random_input(random, "x", &[spec.extent() + unread], 1.0);
    setting.check(Precision::F32, |b, v| {
        let shape = [spec.outputs()];
        b.rearrange(v["x"], spec, &shape).unwrap()
    });
}

#[test]
fn named_rearrangements() {
    let random = &mut Random::new(3);
    let mut setting = Setting::default();
    setting.random_input(random, "x", &[3, 20, 30, 24], 1.0);
    setting.check(Precision::F32, |b, v| {
        let x = b.upsample_nearest(v["x"], 2).unwrap();
        let x = b.slice(x, 2, 7..40).unwrap();
        let x = b.reshape(x, &[3, 40, 33 * 24]).unwrap();
        b.permute(x, &[3, 40, 33, 6, 4], &[2, 0, 3, 1, 4], 1, &[33, 3, 6, 40])
            .unwrap()
    });
}

fn elementwise(seed: u64) {
    let random = &mut Random::new(seed);
    let mut setting = Setting::default();
    let (rows, columns) = (size(random, 1, 90), size(random, 1, 400));
    for name in ["a", "b", "c"] {
        setting.random_input(random, name, &[rows, columns], 6.0);
    }
    setting.random_input(random, "row", &[columns], 1.0);
    let coefficients = [0.7, -1.3, 2.0, 0.01];
    let n = size(random, 1, 4);
    setting.check(Precision::F16, |b, v| {
        let mut x = b.add(v["a"], v["row"]).unwrap();
        for activation in ACTIVATIONS {
            x = b.activation(activation, x);
        }
        let y = b.mul(v["b"], v["row"]).unwrap();
        let y = b.mul(y, y).unwrap();
        let y = b.unary(UnaryOp::Clamp { low: -1.0, high: 2.5 }, y);
        let z = b.add(x, y).unwrap();
        let fill = b.fill(&[rows, columns], 0.5);
        let inputs = [z, v["c"], z, fill];
        let c = b.constant(&[n], &coefficients[..n]);
        let combined = b.combine(c, &inputs[..n]).unwrap();
        b.concat(&[combined, v["a"], combined]).unwrap()
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn linear_layers(seed: u64, m in 1usize..70, k in 1usize..200, n in 1usize..150) {
        linear(seed, [m, k, n]);
    }

    #[test]
    fn int8_layers(seed: u64, m in 1usize..70, n in 1usize..90) {
        int8(seed, [m, n]);
    }

    #[test]
    fn layers_with_experts(seed: u64, tokens in 1usize..70) {
        experts(seed, tokens);
    }

    #[test]
    fn convolutions(seed: u64) {
        conv3d(seed);
    }

    #[test]
    fn attentions(seed: u64, queries in 1usize..90, keys in 1usize..90) {
        attention(seed, [queries, keys], Scores::Float);
    }

    #[test]
    fn int8_attentions(seed: u64, queries in 1usize..90, keys in 1usize..300) {
        attention(seed, [queries, keys], Scores::Int8);
    }

    #[test]
    fn norms(seed: u64) {
        norm(seed);
    }

    #[test]
    fn norms_with_rotation(seed: u64) {
        qk_norm_rope(seed);
    }

    #[test]
    fn lookups(seed: u64) {
        gather(seed);
    }

    #[test]
    fn rearrangements(seed: u64) {
        rearrange(seed);
    }

    #[test]
    fn elementwise_operations(seed: u64) {
        elementwise(seed);
    }
}
