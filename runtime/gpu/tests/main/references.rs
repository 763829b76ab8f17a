//! Int8 layers and layers with experts against the libraries that define them (`tests/fixtures`), on the processor and
//! on the device.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kinora_cpu::CpuExecutor;
use kinora_graph::experts::{Scoring, Source};
use kinora_graph::{Activation, Builder, Epilogue, Executor, Graph, HostTensor, NoControl, Precision, Scope};
use kinora_quant::file::SafetensorsFile;
use kinora_quant::{DType, Rotation, Tensor, Weights};
use kinora_runtime::GpuExecutor;

fn fixture(name: &str) -> SafetensorsFile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name);
    SafetensorsFile::open(&path).unwrap()
}

fn host(file: &SafetensorsFile, name: &str) -> HostTensor {
    let tensor = file.tensor(name).unwrap();
    HostTensor::f32(&tensor.info.shape, tensor.to_f32().unwrap())
}

/// The output `y` of the graph for `x`, from each executor that is there.
fn run(graph: &Graph, weights: &Arc<dyn Weights>, x: &HostTensor) -> Vec<HostTensor> {
    let mut executors: Vec<Box<dyn Executor>> = vec![Box::new(CpuExecutor::new(Precision::F32))];
    if let Some(device) = crate::device() {
        executors.push(Box::new(GpuExecutor::new(device, Precision::F32)));
    }
    let run = |mut executor: Box<dyn Executor>| {
        let program = executor.compile(graph.clone(), weights).unwrap();
        executor
            .run(program, &[("x", x)], &mut NoControl)
            .unwrap()
            .remove("y")
            .unwrap()
    };
    executors.into_iter().map(run).collect()
}

/// Rows as the readers hand them out: the bytes, then the row's scale.
fn record(file: &SafetensorsFile, case: &str, rotation: usize) -> Tensor<'static> {
    let weight = file.tensor(&format!("{case}.weight")).unwrap();
    let scales = host(file, &format!("{case}.scale"));
    let scales = scales.as_f32().unwrap();
    let shape = weight.info.shape.clone();
    let mut bytes = Vec::new();
    for (row, elements) in weight.data.chunks_exact(shape[1]).enumerate() {
        bytes.extend(elements);
        bytes.extend(scales[row % scales.len()].to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let dtype = Rotation::of(rotation).map_or(DType::Int8, DType::Int8ConvRot);
    Tensor::new(dtype, &shape, bytes).unwrap()
}

#[test]
fn int8_layers_are_the_reference_implementation_s() {
    let file = fixture("int8_linear.safetensors");
    for (case, rotation) in file.metadata() {
        let mut tensors = BTreeMap::from([("to.weight".to_owned(), record(&file, &case, rotation.parse().unwrap()))]);
        if let Ok(bias) = file.tensor(&format!("{case}.bias")) {
            tensors.insert("to.bias".to_owned(), bias.into_owned());
        }
        let (x, expected) = (host(&file, &format!("{case}.x")), host(&file, &format!("{case}.y")));
        let (n, columns) = (expected.shape[1], x.shape[1]);
        let weights: Arc<dyn Weights> = Arc::new(tensors);
        let mut b = Builder::new(&weights);
        let value = b.input("x", &x.shape);
        let none = Epilogue::Activation(Activation::None);
        let y = b.linear(&Scope::root(), "to", value, n, none).unwrap();
        b.output("y", y);
        let exact = b
            .linear_weight_only(&Scope::root(), "to", value, n, 0..n, none)
            .unwrap();
        b.output("exact", exact);
        for found in run(&b.finish(), &weights, &x) {
            // A rotated element that lies between two integers may become either: of the reference's own sums,
            // another order would do the same. That changes the results of its row by one quantum times a weight.
            let largest = expected.as_f32().unwrap().iter().fold(0f32, |m, v| m.max(v.abs()));
            let rows = expected
                .as_f32()
                .unwrap()
                .chunks(n)
                .zip(found.as_f32().unwrap().chunks(n));
            let errors: Vec<f32> = rows
                .map(|(e, f)| e.iter().zip(f).fold(0f32, |m, (e, f)| m.max((e - f).abs())) / largest)
                .collect();
            let off = errors.iter().filter(|e| **e > 1e-6).count();
            println!(
                "case {case}, rotation {rotation}: {off} rows off, {:e}",
                errors.iter().fold(0f32, |m, e| m.max(*e))
            );
            let quantum = 2.0 / (columns as f32).sqrt() / 127.0;
            assert!(off * 10 <= errors.len(), "case {case}: {off} rows of {}", errors.len());
            assert!(errors.iter().all(|e| *e <= quantum), "case {case}: {errors:?}");
        }
    }
}

#[test]
fn layers_with_experts_are_the_reference_implementation_s() {
    const TOLERANCE: f32 = 2e-6;
    let file = fixture("experts.safetensors");
    for (name, normalize) in [("qwen3", false), ("qwen3_normalized", true), ("mixtral", true)] {
        let (x, expected) = (host(&file, &format!("{name}.x")), host(&file, &format!("{name}.y")));
        let renamed = ["router", "gate_up", "down"].map(|part| {
            let tensor = file.tensor(&format!("{name}.{part}")).unwrap().into_owned();
            (format!("{part}.weight"), tensor)
        });
        let weights: Arc<dyn Weights> = Arc::new(BTreeMap::from(renamed));
        let (experts, width) = (6, 12);
        let mut b = Builder::new(&weights);
        let root = Scope::root();
        let tokens = b.input("x", &x.shape);
        let none = Epilogue::Activation(Activation::None);
        let logits = b.linear(&root, "router", tokens, experts, none).unwrap();
        let (ids, shares) = b.route(&root, logits, 2, Scoring::Softmax, normalize, 1.0).unwrap();
        let groups = b.group_by_expert(&root, "groups", ids).unwrap();
        let mut part = |rows, activation| {
            b.grouped_linear(
                &root,
                "gate_up",
                tokens,
                Source::Tokens,
                groups,
                2 * width,
                rows,
                activation,
            )
            .unwrap()
        };
        let (gate, up) = (
            part(0..width, Activation::Silu),
            part(width..2 * width, Activation::None),
        );
        let hidden = b.mul(gate, up).unwrap();
        let columns = x.shape[1];
        let down = b
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
        let y = b.scatter_experts(&root, "sum", down, groups, shares).unwrap();
        b.output("y", y);
        for found in run(&b.finish(), &weights, &x) {
            let error = crate::graphs::error(&expected, &found);
            println!("{name}: {error:e}");
            assert!(error <= TOLERANCE, "{name}: error {error:e}");
        }
    }
}
