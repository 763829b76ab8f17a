//! Every operation of random graphs against the executor on the processor.

use kinora_cpu::CpuExecutor;
use kinora_graph::{Executor, HostData, HostTensor, NoControl, Op, Precision, Scores};
use kinora_runtime::GpuExecutor;

use crate::zoo::{self, Specimen};

/// Largest |difference| over the largest |expected|.
pub(crate) fn error(expected: &HostTensor, found: &HostTensor) -> f32 {
    assert_eq!(expected.shape, found.shape);
    let (expected, found) = (numbers(expected), numbers(found));
    let scale = expected.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let worst = expected
        .iter()
        .zip(&found)
        .map(|(e, f)| if f.is_finite() { (e - f).abs() } else { f32::INFINITY });
    worst.fold(0.0, f32::max) / scale
}

/// The elements as numbers, be they ids.
pub(crate) fn numbers(tensor: &HostTensor) -> Vec<f32> {
    match &tensor.data {
        HostData::F32(values) => values.clone(),
        HostData::U32(ids) => ids.iter().map(|id| *id as f32).collect(),
    }
}

fn compare(specimens: impl Iterator<Item = (String, Specimen)>) {
    let Some(device) = crate::device() else { return };
    for (name, specimen) in specimens {
        for precision in [Precision::F32, Precision::F16] {
            let graph = specimen.graph.with_all_outputs();
            let mut gpu = GpuExecutor::new(device.clone(), precision);
            let mut cpu = CpuExecutor::new(precision);
            let executors: [&mut dyn Executor; 2] = [&mut cpu, &mut gpu];
            let [expected, found] = executors.map(|e| {
                let program = e.compile(graph.clone(), &specimen.weights).unwrap();
                e.run(program, &specimen.inputs(), &mut NoControl).unwrap()
            });
            for (value, expected) in &expected {
                let error = error(expected, &found[value]);
                let node = &graph.nodes()[value.parse::<usize>().unwrap()];
                // Roundings to f16 of almost equal numbers may differ by one step, and those to int8 where a device
                // divides less exactly than the processor.
                let rounds = match &node.op {
                    Op::Linear(op) => op.quantizes(),
                    Op::Attention(op) => op.scores == Scores::Int8,
                    _ => false,
                };
                let tolerance = if precision == Precision::F32 && !rounds {
                    2e-5
                } else {
                    2e-3
                };
                let at = format!(
                    "{name} {precision:?} %{value} {} {:?} `{}`",
                    node.op.name(),
                    node.shape,
                    node.label
                );
                assert!(error <= tolerance, "{at}: error {error:e}");
            }
        }
    }
}

#[test]
fn transformers_agree_with_the_processor() {
    compare((0..6).map(|seed| (format!("transformer {seed}"), zoo::transformer(seed))));
}

#[test]
fn what_is_named_together_agrees_with_the_processor() {
    compare((0..4).map(|seed| (format!("together {seed}"), zoo::together(seed))));
}

#[test]
fn autoencoders_agree_with_the_processor() {
    compare((0..6).map(|seed| (format!("autoencoder {seed}"), zoo::autoencoder(seed, false))));
}

#[test]
fn wide_heads_agree_with_the_processor() {
    compare((0..3).map(|seed| (format!("wide {seed}"), zoo::wide_attention(seed))));
}

#[test]
fn int8_attention_agrees_with_the_processor() {
    compare((0..6).map(|seed| (format!("int8 attention {seed}"), zoo::int8_attention(seed))));
}

#[test]
fn quantized_layers_agree_with_the_processor() {
    compare((0..4).map(|seed| (format!("quantized {seed}"), zoo::quantized(seed))));
}
