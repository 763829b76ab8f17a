//! Few rows and long sums: linear layers that are summed in parts of K.

use std::collections::BTreeMap;

use kinora_cpu::CpuExecutor;
use kinora_graph::{Activation, Builder, Epilogue, Executor, Gate, HostTensor, NoControl, Precision, Rows, Scope};
use kinora_quant::DType;
use kinora_runtime::{Capabilities, GpuExecutor, Options, Plan, Speed, Table};
use kinora_shaders::call::Random;

use crate::graphs::{error, numbers};
use crate::plans::CAPABILITIES;
use crate::zoo::{self, Specimen, Tensors};

/// Features of x: four blocks of 256.
const K: usize = 1024;

/// Layers of `rows` rows with each epilogue.
fn epilogues(rows: usize, dtype: DType) -> Specimen {
    let n = 70;
    let mut t = Tensors::new(rows as u64);
    for name in ["silu", "up", "times", "gated", "precise"] {
        t.layer(name, &[n, K], dtype);
    }
    for name in ["q", "k", "v"] {
        t.layer(name, &[68, K], dtype);
    }
    let weights = t.finish();
    let mut b = Builder::new(&weights);
    let root = Scope::root();
    let none = Epilogue::Activation(Activation::None);
    let x = b.input("x", &[rows, K]);
    let residual = b.input("residual", &[rows, n]);
    let table = b.input("table", &[3, 2 * n]);
    let indexed = Rows::Indexed(b.input_u32("rows", &[rows]));
    let silu = Epilogue::Activation(Activation::Silu);
    let silu = b.linear(&root, "silu", x, n, silu).unwrap();
    let up = b.linear(&root, "up", x, n, none).unwrap();
    let times = b.linear(&root, "times", x, n, Epilogue::GeluTanhTimes(up)).unwrap();
    let gate = Gate {
        table,
        column: n,
        rows: indexed,
    };
    let gated = Epilogue::Residual {
        residual,
        gate: Some(gate),
    };
    let gated = b.linear(&root, "gated", x, n, gated).unwrap();
    let plain = Epilogue::Residual { residual, gate: None };
    let precise = b.linear_precise(&root, "precise", x, n, plain).unwrap();
    let [q, k, v] = b.linears(&root, ["q", "k", "v"], x, 68).unwrap();
    for (index, value) in [silu, times, gated, precise, q, k, v].into_iter().enumerate() {
        b.output(&index.to_string(), value);
    }
    let graph = b.finish();
    let inputs = zoo::inputs(&graph, &mut Random::new(1), 3);
    Specimen { graph, weights, inputs }
}

fn run(mut executor: impl Executor, specimen: &Specimen) -> BTreeMap<String, HostTensor> {
    let program = executor.compile(specimen.graph.clone(), &specimen.weights).unwrap();
    executor.run(program, &specimen.inputs(), &mut NoControl).unwrap()
}

/// The shaders' names of a plan's dispatches.
fn dispatches(specimen: &Specimen, capabilities: &Capabilities) -> Vec<String> {
    let plan = Plan::new(&specimen.graph, capabilities, &Table::default(), &Options::default()).unwrap();
    let name = |index: usize| plan.shaders[index].name.clone();
    plan.dispatches.iter().map(|d| name(d.shader)).collect()
}

#[test]
fn few_rows_are_summed_in_parts_on_gpus_alone() {
    let specimen = epilogues(20, DType::F16);
    let names = dispatches(&specimen, &CAPABILITIES);
    let product = "linear.f16.parts.flat";
    let sums = ["silu", "none", "gelu_tanh_times", "residual", "residual", "apart"];
    let expected = sums.map(|epilogue| [product.to_owned(), format!("add_parts.{epilogue}")]);
    assert_eq!(names, expected.concat());
    let software = Capabilities {
        software: true,
        ..CAPABILITIES
    };
    let whole = [
        (epilogues(20, DType::F16), software),
        (epilogues(8, DType::F16), CAPABILITIES),
        (epilogues(65, DType::F16), CAPABILITIES),
        (epilogues(20, DType::Int8), CAPABILITIES),
    ];
    for (specimen, capabilities) in whole {
        let names = dispatches(&specimen, &capabilities);
        assert!(!names.iter().any(|name| name.contains("parts")), "{names:?}");
    }
}

#[test]
fn parts_agree_with_the_processor_and_slices_change_no_bit() {
    let Some(device) = crate::device() else { return };
    let as_gpu = Capabilities {
        software: false,
        ..device.capabilities()
    };
    let slow = Capabilities {
        speed: Speed { flops: 1e5, bytes: 1e4 },
        ..as_gpu
    };
    for (rows, dtype) in [(9, DType::Q4K), (33, DType::F16), (64, DType::F32), (20, DType::Q6K)] {
        let specimen = epilogues(rows, dtype);
        for precision in [Precision::F32, Precision::F16] {
            let options = Options {
                precision,
                ..Options::default()
            };
            let gpu = |capabilities| GpuExecutor::with_options(device.clone(), capabilities, options);
            let expected = run(CpuExecutor::new(precision), &specimen);
            let found = run(gpu(as_gpu), &specimen);
            let sliced = run(gpu(slow), &specimen);
            // Roundings to f16 of almost equal numbers may differ by one step.
            let tolerance = if precision == Precision::F32 { 2e-5 } else { 2e-3 };
            for (name, expected) in &expected {
                let error = error(expected, &found[name]);
                assert!(
                    error <= tolerance,
                    "{rows} rows, {dtype:?}, {precision:?}, {name}: {error:e}"
                );
                let bits = |t: &HostTensor| numbers(t).iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert!(
                    bits(&found[name]) == bits(&sliced[name]),
                    "{rows} rows, {dtype:?}, {precision:?}, {name}"
                );
            }
        }
    }
}
