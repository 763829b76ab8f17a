//! The real models' tensors, in every naming: all are used, none is missing.

use std::collections::BTreeSet;

use kinora_graph::{Graph, Op, Scores};
use kinora_models::text::umt5::{self, Umt5Config};
use kinora_models::wan::names::{self, Part};
use kinora_models::wan::transformer::{StepShape, TextKeys, step_graph, text_graph};
use kinora_models::wan::vae::{Chunk, decoder_graph, encoder_graph};
use kinora_models::wan::{TransformerConfig, VaeConfig, Variant};
use kinora_quant::Weights;
use kinora_quant::file::Renamed;
use kinora_tests::{Entry, generated, manifest};

/// Opens the manifest's tensors as a file of that naming would be opened, and checks that `graphs` reads each.
fn check(variant: &str, naming: &str, part: Part, graphs: impl Fn(&dyn Weights) -> Vec<Graph>) {
    let entries = manifest(variant, naming);
    let stored = generated(&entries, 1);
    assert_eq!(names::detect(&stored), Some(part), "{variant}.{naming}");
    let weights = Renamed::by_rule(stored, |name| Some(names::canonical(part, name))).unwrap();
    let used: BTreeSet<String> = graphs(&weights).iter().flat_map(names_of).collect();
    let extra = |e: &&Entry| {
        let canonical = names::canonical(part, &e.name);
        let extra = names::is_extra(part, &canonical);
        assert_eq!(
            e.note.is_some(),
            extra,
            "{variant}.{naming}: `{}` is {:?}",
            e.name,
            e.note
        );
        extra
    };
    let there: BTreeSet<String> = entries
        .iter()
        .filter(|e| !extra(e))
        .map(|e| names::canonical(part, &e.name))
        .collect();
    let unused: Vec<&String> = there.difference(&used).collect();
    assert!(unused.is_empty(), "{variant}.{naming}: not used: {unused:?}");
    let missing: Vec<&String> = used.difference(&there).collect();
    assert!(missing.is_empty(), "{variant}.{naming}: missing: {missing:?}");
}

fn names_of(graph: &Graph) -> Vec<String> {
    let name = |op: &Op| match op {
        Op::Parameter { name } => Some(name.clone()),
        op => op.matrix().map(|m| m.name.clone()),
    };
    graph.nodes().iter().filter_map(|node| name(&node.op)).collect()
}

fn transformer_graphs(variant: &str, weights: &dyn Weights) -> Vec<Graph> {
    let config = TransformerConfig::detect(weights).unwrap();
    let candidates: Vec<&str> = Variant::candidates(&config).iter().map(|v| v.name()).collect();
    assert!(candidates.contains(&variant), "{variant} is taken for {candidates:?}");
    let image_rows = if config.image_dim.is_some() { 257 } else { 0 };
    let shape = StepShape {
        latent: [2, 4, 4],
        text_rows: 512,
        image_rows,
        timesteps: 1,
        prompted: false,
        branches: vec!["positive".into()],
        expert: "high".into(),
        text_keys: TextKeys::States,
        scores: Scores::Float,
    };
    let text = text_graph(&config, weights, &shape, "positive").unwrap();
    vec![text, step_graph(&config, weights, &shape).unwrap()]
}

fn vae_graphs(expected: &VaeConfig, weights: &dyn Weights) -> Vec<Graph> {
    let config = VaeConfig::detect(weights).unwrap();
    assert_eq!(&config, expected);
    let side = 2 * config.spatial_factor();
    let mut graphs = Vec::new();
    for chunk in [Chunk::First, Chunk::Second, Chunk::Later] {
        graphs.push(decoder_graph(&config, weights, [2, 2], chunk).unwrap());
        graphs.push(encoder_graph(&config, weights, [side, side], chunk).unwrap());
    }
    graphs
}

#[test]
fn every_tensor_of_the_transformers_is_used() {
    for (variant, _) in Variant::ALL {
        for naming in ["diffusers", "original"] {
            check(variant, naming, Part::Transformer, |weights| {
                transformer_graphs(variant, weights)
            });
        }
    }
}

#[test]
fn every_tensor_of_the_autoencoders_is_used() {
    for (name, config) in [("wan2.1-vae", VaeConfig::wan21()), ("wan2.2-vae", VaeConfig::wan22())] {
        for naming in ["diffusers", "original"] {
            check(name, naming, Part::Vae, |weights| vae_graphs(&config, weights));
        }
    }
}

#[test]
fn every_tensor_of_the_text_encoder_is_used() {
    for naming in ["diffusers", "original", "comfy"] {
        check("umt5-xxl", naming, Part::TextEncoder, |weights| {
            let config = Umt5Config::detect(weights).unwrap();
            assert_eq!(config, Umt5Config::xxl());
            // The embedding is read on the host.
            assert!(weights.info(umt5::EMBEDDING).is_some());
            let graph = umt5::encoder_graph(&config, weights, 3, false).unwrap();
            let mut b = kinora_graph::Builder::new(weights);
            let ids = b.input_u32("ids", &[1]);
            b.gather(
                &kinora_graph::Scope::root(),
                umt5::EMBEDDING,
                ids,
                config.vocab_size,
                config.d_model,
            )
            .unwrap();
            vec![graph, b.finish()]
        });
    }
}
