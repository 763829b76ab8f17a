//! Every operation of random graphs against the executor on the processor.

use kinora_cpu::CpuExecutor;
use kinora_graph::{Executor, HostData, HostTensor, NoControl, Op, Precision, Scores};
use kinora_runtime::{GpuExecutor, Options};

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
    compare_within(u64::MAX, specimens);
}

/// Compares on a device that binds at most `max_binding` bytes at once.
fn compare_within(max_binding: u64, specimens: impl Iterator<Item = (String, Specimen)>) {
    let Some(device) = crate::device() else { return };
    let mut capabilities = device.capabilities();
    capabilities.max_binding = capabilities.max_binding.min(max_binding);
    for (name, specimen) in specimens {
        for precision in [Precision::F32, Precision::F16] {
            let graph = specimen.graph.with_all_outputs();
            let options = Options {
                precision,
                ..Options::default()
            };
            let mut gpu = GpuExecutor::with_options(device.clone(), capabilities, options);
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
    let heads = [257, 300, 384, 512, 1024].into_iter();
    compare(heads.flat_map(|head| attentions(head, [0, 1, 2, 3, 4, 15])));
}

fn attentions(head: usize, seeds: impl IntoIterator<Item = u64>) -> impl Iterator<Item = (String, Specimen)> {
    let named = move |seed| (format!("attention {head} {seed}"), zoo::attention(seed, head));
    seeds.into_iter().map(named)
}

#[test]
fn blocks_of_scores_agree_with_the_processor() {
    let heads = [32, 50, 64, 128, 200].into_iter();
    compare(heads.flat_map(|head| attentions(head, [4, 6, 12, 15, 20])));
}

/// Keys and values beyond a binding, whatever the head.
#[test]
fn long_keys_agree_with_the_processor() {
    let heads = [33, 64, 80, 128, 261].into_iter();
    compare_within(16 << 10, heads.flat_map(|head| attentions(head, [0, 3, 6, 13])));
}

#[test]
fn int8_attention_agrees_with_the_processor() {
    compare((0..6).map(|seed| (format!("int8 attention {seed}"), zoo::int8_attention(seed))));
}

#[test]
fn quantized_layers_agree_with_the_processor() {
    compare((0..4).map(|seed| (format!("quantized {seed}"), zoo::quantized(seed))));
}
