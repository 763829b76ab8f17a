//! Prints the rates of the heavy operations: `cargo run -p kinora-cpu --example rates`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kinora_cpu::CpuExecutor;
use kinora_graph::{
    Activation, Attention, Builder, Epilogue, Executor, HostTensor, NoControl, Norm, NormKind, Padding, Precision,
    Scope, Scores, Value,
};
use kinora_quant::Weights;
use kinora_quant::synth::RuleWeights;

fn main() {
    let root = Scope::root();
    for [m, k, n] in [
        [1, 3072, 8192],
        [80, 128, 512],
        [512, 1536, 1536],
        [512, 1536, 8960],
        [2048, 1536, 1536],
    ] {
        let weights = RuleWeights::new([("to.weight", vec![n, k], 0.0, 0.1)], 1);
        measure(&format!("linear {m} x {k} -> {n}"), weights, &[vec![m, k]], |b, v| {
            b.linear(&root, "to", v[0], n, Epilogue::Activation(Activation::GeluTanh))
                .unwrap()
        });
    }
    for [t, h, w, c, out] in [
        [5, 64, 64, 16, 16],
        [5, 32, 32, 64, 64],
        [3, 32, 32, 192, 192],
        [3, 64, 64, 96, 3],
        [2, 16, 16, 384, 384],
    ] {
        let weights = RuleWeights::new([("conv.weight", vec![out, c, 3, 3, 3], 0.0, 0.1)], 1);
        measure(
            &format!("conv3d 3x3x3 {t}x{h}x{w} {c} -> {out}"),
            weights,
            &[vec![t, h, w, c]],
            |b, v| {
                let padding = Padding {
                    front: 2,
                    ..Padding::SPACE_1
                };
                b.conv3d(&root, "conv", v[0], None, out, [3; 3], [1; 3], padding, None)
                    .unwrap()
            },
        );
    }
    for [queries, keys, heads, head] in [
        [80, 80, 4, 32],
        [1560, 1560, 12, 128],
        [4096, 4096, 4, 64],
        [1560, 512, 12, 128],
    ] {
        let weights = RuleWeights::new([("none", vec![1], 0.0, 1.0)], 1);
        let shapes = [
            vec![queries, heads * head],
            vec![keys, heads * head],
            vec![keys, heads * head],
        ];
        measure(
            &format!("attention {queries} x {keys}, {heads} heads of {head}"),
            weights,
            &shapes,
            |b, v| {
                let (scale, bias, mask) = (0.1, None, None);
                b.attention(
                    &root,
                    "",
                    Attention {
                        q: v[0],
                        k: v[1],
                        v: v[2],
                        heads,
                        scale,
                        bias,
                        mask,
                        blocks: None,
                        scores: Scores::Float,
                    },
                )
                .unwrap()
            },
        );
    }
    for [rows, columns] in [[65536, 96], [4096, 1536]] {
        let weights = RuleWeights::new([("n.weight", vec![columns], 0.0, 1.0)], 1);
        measure(
            &format!("norm and SiLU {rows} x {columns}"),
            weights,
            &[vec![rows, columns]],
            |b, v| {
                let weight = Some(b.parameter(&root.enter("n"), "weight", &[columns]).unwrap());
                let (kind, activation) = (NormKind::L2, Activation::Silu);
                b.norm(
                    &root,
                    "n",
                    Norm {
                        x: v[0],
                        kind,
                        eps: 1e-6,
                        weight,
                        bias: None,
                        modulation: None,
                        activation,
                    },
                )
                .unwrap()
            },
        );
    }
    let weights = || RuleWeights::new([("none", vec![1], 0.0, 1.0)], 1);
    measure("upsample 5x64x64x96", weights(), &[vec![5, 64, 64, 96]], |b, v| {
        b.upsample_nearest(v[0], 2).unwrap()
    });
    measure("transpose 2048x2048", weights(), &[vec![2048, 2048]], |b, v| {
        b.permute(v[0], &[2048, 2048], &[1, 0], 0, &[2048, 2048]).unwrap()
    });
    measure("add 4096x1536", weights(), &[vec![4096, 1536]], |b, v| {
        b.add(v[0], v[0]).unwrap()
    });
}

/// Builds a graph of one operation on inputs of the given shapes and prints its best time.
fn measure(
    what: &str,
    weights: RuleWeights,
    shapes: &[Vec<usize>],
    build: impl Fn(&mut Builder<'_>, &[Value]) -> Value,
) {
    let made = weights.names().into_iter().map(|name| {
        let tensor = weights.tensor(&name).expect("a tensor of the rule").into_owned();
        (name, tensor)
    });
    // In memory, as a mapped file would be: making numbers by rule is slow.
    let weights: Arc<dyn Weights> = Arc::new(made.collect::<std::collections::BTreeMap<_, _>>());
    let mut builder = Builder::new(&*weights);
    let names: Vec<String> = (0..shapes.len()).map(|i| i.to_string()).collect();
    let values: Vec<Value> = names
        .iter()
        .zip(shapes)
        .map(|(name, shape)| builder.input(name, shape))
        .collect();
    let out = build(&mut builder, &values);
    builder.output("out", out);
    let graph = builder.finish();
    let cost = graph.cost(out);
    let tensors: Vec<HostTensor> = shapes
        .iter()
        .map(|shape| {
            HostTensor::f32(
                shape,
                (0..shape.iter().product())
                    .map(|i: usize| (i % 71) as f32 / 71.0 - 0.5)
                    .collect(),
            )
        })
        .collect();
    let inputs: Vec<(&str, &HostTensor)> = names.iter().map(String::as_str).zip(&tensors).collect();
    let mut cpu = CpuExecutor::new(Precision::F32);
    let program = cpu.compile(graph, &weights).expect("a sound graph");
    let start = Instant::now();
    let (mut best, mut best_core) = (Duration::MAX, Duration::MAX);
    while start.elapsed() < Duration::from_millis(600) {
        let (run, core) = (Instant::now(), core_time());
        cpu.run(program, &inputs, &mut NoControl).expect("a run");
        best = best.min(run.elapsed());
        best_core = best_core.min(core_time() - core);
    }
    let rates = |time: Duration| {
        let seconds = time.as_secs_f64();
        let (flops, bytes) = (cost.flops as f64 / seconds / 1e9, cost.bytes as f64 / seconds / 1e9);
        format!("{:>9.3} ms {flops:>7.1} GFLOP/s {bytes:>6.2} GB/s", seconds * 1e3)
    };
    println!("{what:<40} {}   one core: {}", rates(best), rates(best_core));
}

/// Time that the cores spent on this process, on Linux: what a busy machine leaves comparable. Zero elsewhere.
fn core_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let spent = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    let nanoseconds = spent.filter_map(|line| line.split(' ').next()?.parse::<u64>().ok());
    Duration::from_nanos(nanoseconds.sum())
}
