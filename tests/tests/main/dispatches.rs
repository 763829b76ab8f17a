//! Dispatches of a transformer's block at its true widths.

use kinora_graph::Scores;
use kinora_models::wan::TransformerConfig;
use kinora_models::wan::names::{self, Part};
use kinora_models::wan::transformer::{StepShape, TextKeys, step_graph};
use kinora_quant::file::Renamed;
use kinora_runtime::{Capabilities, Features, Options, Plan, Speed, Table};
use kinora_tests::{generated, manifest};

/// A large card of core WebGPU.
const CAPABILITIES: Capabilities = Capabilities {
    max_binding: 1 << 31,
    max_buffer: 1 << 32,
    storage_alignment: 256,
    uniform_alignment: 256,
    speed: Speed {
        flops: 1e14,
        bytes: 1e12,
    },
    software: false,
    subgroup: 0,
    large_from: 1 << 19,
    features: Features::CORE,
};

/// Norm, q with k and v, their norms, attention, its output; norm, q, its norm, attention, its output; norm, two layers;
/// and the table of the modulation.
#[test]
fn a_block_is_at_most_fourteen_dispatches() {
    for variant in ["wan2.1-t2v-1.3b", "wan2.2-ti2v-5b", "wan2.2-t2v-a14b"] {
        let stored = generated(&manifest(variant, "diffusers"), 1);
        let rename = |name: &str| Some(names::canonical(Part::Transformer, name));
        let weights = Renamed::by_rule(stored, rename).unwrap();
        let config = TransformerConfig::detect(&weights).unwrap();
        let shape = StepShape {
            latent: [2, 16, 16],
            text_rows: 512,
            image_rows: 0,
            timesteps: 1,
            prompted: false,
            branches: vec!["positive".into()],
            expert: "high".into(),
            text_keys: TextKeys::States,
            scores: Scores::Float,
        };
        let graph = step_graph(&config, &weights, &shape).unwrap();
        let plan = Plan::new(&graph, &CAPABILITIES, &Table::default(), &Options::default()).unwrap();
        for layer in 0..config.num_layers {
            let block = format!("blocks.{layer}.");
            let count = plan
                .dispatches
                .iter()
                .filter(|d| plan.ops[d.op].label.starts_with(&block))
                .count();
            assert_eq!(count, 14, "{variant}, block {layer}");
        }
    }
}
