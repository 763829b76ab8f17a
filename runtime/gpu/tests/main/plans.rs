//! Plans in words.

use kinora_graph::{Activation, Builder, Epilogue, Scope};
use kinora_quant::{DType, Rotation};
use kinora_runtime::{Capabilities, Features, Options, Plan, Speed, Table};

use crate::zoo::Tensors;

pub(crate) const CAPABILITIES: Capabilities = Capabilities {
    max_binding: 1 << 27,
    max_buffer: 1 << 30,
    storage_alignment: 256,
    uniform_alignment: 256,
    speed: Speed { flops: 1e9, bytes: 1e9 },
    software: false,
    large_from: 1 << 19,
    subgroup: 0,
    features: Features::CORE,
};

#[test]
fn a_small_plan_reads_well() {
    let mut t = Tensors::new(1);
    t.layer("up", &[96, 32], DType::BF16);
    t.layer("down", &[32, 96], DType::F32);
    t.layer("unused", &[32, 96], DType::F32);
    t.add("norm.weight", &[32], DType::F32);
    let weights = t.finish();
    let mut b = Builder::new(&weights);
    let block = Scope::root();
    let x = b.input("x", &[40, 32]);
    let old = b.state("hidden", &[40, 32]);
    let y = b.rms_norm(&block, "norm", x, 1e-6).unwrap();
    let hidden = b
        .linear(&block, "up", y, 96, Epilogue::Activation(Activation::GeluTanh))
        .unwrap();
    let part = b
        .linear_rows(&block, "up", y, 96, 32..64, Epilogue::Activation(Activation::None))
        .unwrap();
    let y = b
        .linear(
            &block,
            "down",
            hidden,
            32,
            Epilogue::Residual {
                residual: x,
                gate: None,
            },
        )
        .unwrap();
    b.linear(&block, "unused", hidden, 32, Epilogue::Activation(Activation::None))
        .unwrap();
    let y = b.add(y, part).unwrap();
    let y = b.add(y, old).unwrap();
    let grid = b.reshape(y, &[5, 8, 32]).unwrap();
    b.output("y", grid);
    b.set_state("hidden", y);
    b.set_state("before", old);
    let plan = Plan::new(&b.finish(), &CAPABILITIES, &Table::default(), &Options::default()).unwrap();
    insta::assert_snapshot!(plan);
}

#[test]
fn rows_are_quantized_once_for_all_layers_that_read_them() {
    let mut t = Tensors::new(1);
    let rotated = DType::Int8ConvRot(Rotation::G16);
    for (name, dtype) in [("q", rotated), ("k", rotated), ("v", rotated), ("other", DType::Int8)] {
        t.layer(name, &[8, 32], dtype);
    }
    let weights = t.finish();
    let mut b = Builder::new(&weights);
    let x = b.input("x", &[40, 32]);
    for name in ["q", "k", "v", "other"] {
        let none = Epilogue::Activation(Activation::None);
        let y = b.linear(&Scope::root(), name, x, 8, none).unwrap();
        b.output(name, y);
    }
    let plan = Plan::new(&b.finish(), &CAPABILITIES, &Table::default(), &Options::default()).unwrap();
    let names = plan.dispatches.iter().map(|d| plan.shaders[d.shader].name.as_str());
    let quantizing: Vec<_> = names.filter(|name| name.starts_with("quantize_rows")).collect();
    assert_eq!(quantizing, ["quantize_rows.int8.16", "quantize_rows.int8.1"]);
    // On the device they are as in the file.
    assert_eq!(plan.weights.iter().map(|w| w.bytes()).sum::<u64>(), 4 * 8 * (32 + 4));
}
