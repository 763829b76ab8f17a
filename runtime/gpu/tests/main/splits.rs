//! Narrow limits cut the work into many pieces and must not change a bit.

use kinora_graph::{Executor, Graph, NoControl, Precision};
use kinora_runtime::{Capabilities, GpuExecutor, Options, Speed};

use crate::graphs::numbers;
use crate::large::large;
use crate::zoo::{self, Specimen};

fn run(specimen: &Specimen, graph: &Graph, capabilities: Capabilities, options: Options) -> (usize, Vec<Vec<u32>>) {
    let device = crate::device().expect("asked for before");
    let mut gpu = GpuExecutor::with_options(device, capabilities, options);
    let program = gpu.compile(graph.clone(), &specimen.weights).unwrap();
    let outputs = gpu.run(program, &specimen.inputs(), &mut NoControl).unwrap();
    let bits = outputs
        .values()
        .map(|t| numbers(t).iter().map(|v| v.to_bits()).collect());
    (gpu.plan(program).unwrap().dispatches.len(), bits.collect())
}

fn same_bits(specimen: &Specimen, narrow: impl Fn(&mut Capabilities, &mut Options)) {
    let Some(device) = crate::device() else { return };
    for precision in [Precision::F32, Precision::F16] {
        let graph = specimen.graph.with_all_outputs();
        let (wide, options) = (
            device.capabilities(),
            Options {
                precision,
                ..Options::default()
            },
        );
        let (mut narrowed, mut narrowed_options) = (wide, options);
        narrow(&mut narrowed, &mut narrowed_options);
        let (few, expected) = run(specimen, &graph, wide, options);
        let (many, found) = run(specimen, &graph, narrowed, narrowed_options);
        assert!(many > few, "{many} dispatches instead of {few}");
        for (index, (expected, found)) in expected.iter().zip(&found).enumerate() {
            assert!(expected == found, "output {index}, {precision:?}");
        }
    }
}

#[test]
fn short_time_slices_change_no_bit() {
    let slow = |c: &mut Capabilities, _: &mut Options| c.speed = Speed { flops: 1e5, bytes: 1e4 };
    same_bits(&zoo::transformer(1), slow);
    same_bits(&zoo::transformer(2), slow);
    same_bits(&zoo::autoencoder(3, false), slow);
    same_bits(&zoo::attention(1, 267), slow);
    same_bits(&zoo::attention(13, 64), slow);
    same_bits(&zoo::quantized(1), slow);
    same_bits(&zoo::int8_attention(3), slow);
}

/// One dispatch or one for each: the same sums.
#[test]
fn what_is_named_together_has_the_same_bits_alone() {
    for seed in 0..4 {
        same_bits(&zoo::together(seed), |_, o| o.slice = 0.0);
    }
}

#[test]
fn small_scratch_changes_no_bit() {
    same_bits(&zoo::attention(7, 290), |_, o| o.scratch = 4000);
}

#[test]
fn small_bindings_change_no_bit() {
    same_bits(&large(1), |c, _| {
        c.max_binding = 96 << 10;
        c.max_buffer = 1 << 20;
    });
}

#[test]
fn keys_in_several_bindings_change_no_bit() {
    for (seed, head) in [(1, 259), (2, 384), (3, 512)] {
        same_bits(&zoo::attention(seed, head), |c, _| c.max_binding = 20 << 10);
    }
}

#[test]
fn experts_in_several_bindings_change_no_bit() {
    same_bits(&zoo::quantized(2), |c, _| c.max_binding = 280 << 10);
}

#[test]
fn what_cannot_be_split_is_refused_by_name() {
    let Some(device) = crate::device() else { return };
    let specimen = large(1);
    let narrow = Capabilities {
        max_binding: 2 << 10,
        ..device.capabilities()
    };
    let mut gpu = GpuExecutor::with_options(device, narrow, Options::default());
    let error = gpu.compile(specimen.graph, &specimen.weights).unwrap_err();
    assert!(matches!(error, kinora_graph::Error::OutOfMemory { .. }), "{error}");
    assert!(error.to_string().contains('`'), "{error}");
}
