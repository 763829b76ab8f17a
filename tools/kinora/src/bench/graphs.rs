//! Whole graphs with made-up weights: a block, a step, a chunk of an autoencoder.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinora_graph::{Executor, HostTensor, Scores};
use kinora_models::wan::files::Role;
use kinora_models::wan::names::{Part, canonical};
use kinora_models::wan::rope::timestep_embedding;
use kinora_models::wan::transformer::{StepShape, TextKeys, step_graph, text_graph};
use kinora_models::wan::vae::{Chunk, decoder_graph};
use kinora_models::wan::{TransformerConfig, VaeConfig, Variant};
use kinora_quant::{TensorInfo, Weights};

use super::args::Kind;
use super::numbers::{Inputs, random};
use super::session::{Name, Outcome, Session, Unit, borrowed};
use super::shapes::{SIZES, Size, TEXT_ROWS};
use crate::convert::{MadeUp, Target, stored};
use crate::interrupt::Interruptible;

/// What a reduced graph's widths are divided by, and the least width that is.
const DIVISOR: usize = 4;
const WIDE: usize = 64;

/// Dimensions of a part's tensors, by canonical names.
type Tensors = BTreeMap<String, TensorInfo>;

/// The tensors of a part. Reduced ones keep kernels, latents and pixels, and have quarters of all widths.
fn tensors(variant: Variant, role: Role, target: Target, keep: impl Fn(&str) -> bool, reduced: bool) -> Tensors {
    let part = if role == Role::Vae {
        Part::Vae
    } else {
        Part::Transformer
    };
    let of = |(name, info): (String, TensorInfo)| {
        let name = canonical(part, &name);
        let shape = &info.shape;
        let shape: Vec<usize> = match reduced {
            // The sinusoids of the time are made, not learned.
            true if name == "condition_embedder.time_embedder.linear_1.weight" => vec![shape[0] / DIVISOR, shape[1]],
            true => shape.iter().map(|n| if *n > WIDE { n / DIVISOR } else { *n }).collect(),
            false => shape.clone(),
        };
        let k = shape.last().copied().unwrap_or(1);
        let dtype = match info.dtype.row_bytes(k) {
            Some(_) => info.dtype,
            None => Target::F16.dtype,
        };
        (name, TensorInfo { dtype, shape })
    };
    stored(variant, role, target, target.container())
        .into_iter()
        .map(of)
        .filter(|(name, _)| keep(name))
        .collect()
}

/// Weights of a transformer with `layers` blocks, or all of them.
fn transformer(
    variant: Variant,
    target: Target,
    layers: Option<usize>,
    reduced: bool,
) -> anyhow::Result<(TransformerConfig, Arc<dyn Weights>)> {
    let role = match Role::of(variant).contains(&Role::High) {
        true => Role::High,
        false => Role::Transformer,
    };
    let keep = |name: &str| {
        let layer = name.strip_prefix("blocks.").and_then(|rest| rest.split('.').next());
        layer.and_then(|n| n.parse::<usize>().ok()) < layers.or(Some(usize::MAX))
    };
    let weights = MadeUp::new(tensors(variant, role, target, keep, reduced), 1)?;
    Ok((TransformerConfig::detect(&weights)?, Arc::new(weights)))
}

/// A step with guidance, or (`kind`) one block of it alone.
pub(super) fn step(session: &mut Session<'_>, kind: Kind, size: &Size, target: Target) -> Outcome {
    let reduced = session.report.options.quick;
    let layers = match (kind, reduced) {
        (Kind::Block, _) => Some(1),
        (_, true) => Some(2),
        (_, false) => None,
    };
    let (config, weights) = transformer(size.variant, target, layers, reduced)?;
    let latent = if reduced { [1, 16, 16] } else { size.latent };
    let branches = match kind {
        Kind::Block => vec!["positive".to_owned()],
        _ => vec!["positive".to_owned(), "negative".to_owned()],
    };
    let shape = StepShape {
        latent,
        text_rows: if reduced { 64 } else { TEXT_ROWS },
        image_rows: 0,
        timesteps: 1,
        branches,
        expert: "only".into(),
        prompted: false,
        text_keys: TextKeys::States,
        scores: Scores::Float,
    };
    let [f, h, w] = latent;
    let mut inputs = vec![
        ("latent".to_owned(), random(&[config.in_channels, f, h, w], 1.0, 1)),
        (
            "time".to_owned(),
            HostTensor::f32(&[1, config.freq_dim], timestep_embedding(&[500.0], config.freq_dim)),
        ),
    ];
    if shape.branches.len() > 1 {
        inputs.push(("guidance".to_owned(), HostTensor::f32(&[2], vec![5.0, -4.0])));
    }
    let text = vec![("text".to_owned(), random(&[shape.text_rows, config.text_dim], 1.0, 2))];
    let prepare = |executor: &mut dyn Executor| {
        for branch in &shape.branches {
            set_states(
                executor,
                text_graph(&config, &*weights, &shape, branch)?,
                &weights,
                &text,
            )?;
        }
        Ok(())
    };
    let name = Name {
        kind: kind.name(),
        model: size.variant.name().to_owned(),
        name: size.clip.to_owned(),
        format: target.name.to_owned(),
        reduced,
        unit: Unit::of(target.dtype),
    };
    let words = format!(
        "blocks={} dim={} tokens={} passes={}",
        config.num_layers,
        config.dim(),
        config.tokens(latent),
        shape.branches.len()
    );
    let graph = || step_graph(&config, &*weights, &shape);
    session.graph(name, words, &weights, graph, &inputs, &prepare)
}

/// Runs a graph that has nothing but states to leave.
fn set_states(
    executor: &mut dyn Executor,
    graph: kinora_graph::Graph,
    weights: &Arc<dyn Weights>,
    inputs: &Inputs,
) -> kinora_graph::Result<()> {
    let program = executor.compile(graph, weights)?;
    executor.run(program, &borrowed(inputs), &mut Interruptible)?;
    executor.release(program);
    Ok(())
}

/// A chunk of a decoder like all but the first two.
pub(super) fn vae(session: &mut Session<'_>, variant: Variant, target: Target) -> Outcome {
    let reduced = session.report.options.quick;
    let Some(size) = SIZES.iter().rfind(|size| size.variant == variant) else {
        return Ok(());
    };
    let keep = |name: &str| name.starts_with("decoder.") || name.starts_with("post_quant_conv.");
    let weights: Arc<dyn Weights> = Arc::new(MadeUp::new(tensors(variant, Role::Vae, target, keep, reduced), 1)?);
    let mut config = VaeConfig::detect(&*weights)?;
    if reduced {
        config.decoder_base_dim = Some(config.decoder_base() / DIVISOR);
    }
    let latent = if reduced {
        [2, 2]
    } else {
        [size.latent[1], size.latent[2]]
    };
    let [h, w] = latent;
    let inputs = vec![("latent".to_owned(), random(&[1, h, w, config.z_dim], 1.0, 1))];
    let graph = |chunk| decoder_graph(&config, &*weights, latent, chunk);
    let prepare = |executor: &mut dyn Executor| {
        for chunk in [Chunk::First, Chunk::Second] {
            set_states(executor, graph(chunk)?, &weights, &inputs)?;
        }
        Ok(())
    };
    let name = Name {
        kind: Kind::Vae.name(),
        model: variant.name().to_owned(),
        name: "decoder".to_owned(),
        format: target.name.to_owned(),
        reduced,
        unit: Unit::of(target.dtype),
    };
    let words = format!(
        "base={} frames={} h={} w={}",
        config.decoder_base(),
        config.temporal_factor(),
        h * config.spatial_factor(),
        w * config.spatial_factor()
    );
    session.graph(name, words, &weights, || graph(Chunk::Later), &inputs, &prepare)
}
