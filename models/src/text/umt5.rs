//! The umT5 encoder (and any T5 encoder with a relative bias in every layer).
//!
//! Source: transformers, `models/umt5/modeling_umt5.py`.

use kinora_graph::{Activation, Attention, Builder, Epilogue, Graph, Scope, Scores};
use kinora_quant::Weights;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Shape of a `UMT5EncoderModel`, in the names of its `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Umt5Config {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of a head.
    pub d_kv: usize,
    /// Hidden width of the feed-forward layers.
    pub d_ff: usize,
    /// Number of blocks.
    pub num_layers: usize,
    /// Number of heads.
    pub num_heads: usize,
    /// Buckets of the relative position bias.
    #[serde(default = "default_buckets")]
    pub relative_attention_num_buckets: usize,
    /// Distance from which all positions share the last bucket.
    #[serde(default = "default_distance")]
    pub relative_attention_max_distance: usize,
    /// Epsilon of the norms.
    #[serde(default = "default_eps")]
    pub layer_norm_epsilon: f32,
}

fn default_buckets() -> usize {
    32
}

fn default_distance() -> usize {
    128
}

fn default_eps() -> f32 {
    1e-6
}

impl Umt5Config {
    /// umT5-XXL, the text encoder of the Wan family.
    pub fn xxl() -> Self {
        Self {
            vocab_size: 256_384,
            d_model: 4096,
            d_kv: 64,
            d_ff: 10_240,
            num_layers: 24,
            num_heads: 64,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
        }
    }

    /// Reads the shape off the tensors (canonical names).
    pub fn detect(weights: &dyn Weights) -> Result<Self> {
        let shape = |name: &str| -> Result<[usize; 2]> {
            let info = weights.info(name).ok_or_else(|| weights.missing(name))?;
            info.shape.as_slice().try_into().map_err(|_| Error::Config {
                origin: weights.origin(),
                why: format!(
                    "tensor `{name}` of a text encoder must have two dimensions, it has {:?}",
                    info.shape
                ),
            })
        };
        let [vocab_size, d_model] = shape(EMBEDDING)?;
        let first = "encoder.block.0.layer.0.SelfAttention";
        let [relative_attention_num_buckets, num_heads] = shape(&format!("{first}.relative_attention_bias.weight"))?;
        let [inner, _] = shape(&format!("{first}.q.weight"))?;
        let [d_ff, _] = shape("encoder.block.0.layer.1.DenseReluDense.wi_0.weight")?;
        let num_layers = weights
            .names()
            .iter()
            .filter_map(|n| {
                n.strip_prefix("encoder.block.")?
                    .split('.')
                    .next()?
                    .parse::<usize>()
                    .ok()
            })
            .max()
            .map_or(0, |last| last + 1);
        Ok(Self {
            vocab_size,
            d_model,
            d_kv: inner / num_heads.max(1),
            d_ff,
            num_layers,
            num_heads,
            relative_attention_num_buckets,
            ..Self::xxl()
        })
    }

    /// Whether a graph can be built of this shape: a `config.json` is a claim, and its numbers become allocations.
    ///
    /// # Errors
    /// In words, which number cannot be.
    pub fn check(&self) -> Result<(), String> {
        const MAX: usize = 1 << 24;
        for (name, value, least) in [
            ("vocab_size", self.vocab_size, 1),
            ("d_model", self.d_model, 1),
            ("d_kv", self.d_kv, 1),
            ("d_ff", self.d_ff, 1),
            ("num_layers", self.num_layers, 1),
            ("num_heads", self.num_heads, 1),
            // Each sign has half of the buckets, and half of those are one position wide.
            ("relative_attention_num_buckets", self.relative_attention_num_buckets, 4),
            (
                "relative_attention_max_distance",
                self.relative_attention_max_distance,
                self.relative_attention_num_buckets,
            ),
        ] {
            if !(least..=MAX).contains(&value) {
                return Err(format!("`{name}` is {value}; it must be {least} to {MAX}"));
            }
        }
        if !(0.0..=1.0).contains(&self.layer_norm_epsilon) {
            return Err(format!(
                "`layer_norm_epsilon` is {}; it must be 0 to 1",
                self.layer_norm_epsilon
            ));
        }
        Ok(())
    }

    /// Bucket of each relative position from `-(length - 1)` to `length - 1` (key minus query).
    ///
    /// Bidirectional: half of the buckets for each sign; half of those one position wide, the others
    /// growing logarithmically up to the maximal distance.
    pub fn buckets(&self, length: usize) -> Vec<u32> {
        let per_sign = self.relative_attention_num_buckets / 2;
        let exact = per_sign / 2;
        (0..2 * length - 1)
            .map(|entry| {
                let relative = entry as i64 - (length as i64 - 1);
                let distance = relative.unsigned_abs() as usize;
                let bucket = if distance < exact {
                    distance
                } else {
                    // f32 on purpose: the reference rounds here.
                    let spread = (distance as f32 / exact as f32).ln()
                        / (self.relative_attention_max_distance as f64 / exact as f64).ln() as f32;
                    (exact + (spread * (per_sign - exact) as f32) as usize).min(per_sign - 1)
                };
                (bucket + if relative > 0 { per_sign } else { 0 }) as u32
            })
            .collect()
    }
}

/// Name of the token embedding.
pub const EMBEDDING: &str = "shared.weight";

/// The embedding's rows of `ids`, `[ids.len(), d_model]`: gathered on the host, since the table (2 GB for the
/// real model) would otherwise have to be on the device for a few rows.
pub fn embed(weights: &dyn Weights, config: &Umt5Config, ids: &[u32]) -> Result<Vec<f32>> {
    let info = weights.info(EMBEDDING).ok_or_else(|| weights.missing(EMBEDDING))?;
    if info.shape != [config.vocab_size, config.d_model] {
        return Err(kinora_graph::Error::WeightShape {
            origin: weights.origin(),
            name: EMBEDDING.into(),
            expected: vec![config.vocab_size, config.d_model],
            found: info.shape,
        }
        .into());
    }
    let mut out = Vec::with_capacity(ids.len() * config.d_model);
    for &id in ids {
        let row = id as usize;
        if row >= config.vocab_size {
            return Err(Error::Config {
                origin: weights.origin(),
                why: format!(
                    "token {id} is outside of the vocabulary of {}; the tokenizer belongs to another model",
                    config.vocab_size
                ),
            });
        }
        out.extend(weights.rows(EMBEDDING, row..row + 1)?.to_f32()?);
    }
    weights.check()?;
    Ok(out)
}

/// The encoder over `length` tokens.
///
/// Inputs: `embeddings` `[length, d_model]`; `buckets` `[2 · length - 1]` (u32, see [`Umt5Config::buckets`]);
/// with `masked` also `mask` `[length]`, 0 for keys to see and a large negative number for padding.
/// Output: `hidden` `[length, d_model]`.
pub fn encoder_graph(
    config: &Umt5Config,
    weights: &dyn Weights,
    length: usize,
    masked: bool,
) -> kinora_graph::Result<Graph> {
    let mut b = Builder::new(weights);
    let eps = config.layer_norm_epsilon;
    let inner = config.num_heads * config.d_kv;
    let mut x = b.input("embeddings", &[length, config.d_model]);
    let buckets = b.input_u32("buckets", &[2 * length - 1]);
    let mask = masked.then(|| b.input("mask", &[length]));
    let encoder = Scope::root().enter("encoder");
    for layer in 0..config.num_layers {
        let block = encoder.enter("block").enter(layer).enter("layer");

        let scope = block.enter(0);
        let h = b.rms_norm(&scope, "layer_norm", x, eps)?;
        let attn = scope.enter("SelfAttention");
        let [q, k, v] = b.linears(&attn, ["q", "k", "v"], h, inner)?;
        let bias = b.gather(
            &attn,
            "relative_attention_bias.weight",
            buckets,
            config.relative_attention_num_buckets,
            config.num_heads,
        )?;
        // T5 does not divide by sqrt(d): its initialisation takes care of that.
        let op = Attention {
            q,
            k,
            v,
            heads: config.num_heads,
            scale: 1.0,
            bias: Some(bias),
            mask,
            blocks: None,
            scores: Scores::Float,
        };
        let y = b.attention(&attn, "attention", op)?;
        x = b.linear(
            &attn,
            "o",
            y,
            config.d_model,
            Epilogue::Residual {
                residual: x,
                gate: None,
            },
        )?;

        let scope = block.enter(1);
        let h = b.rms_norm(&scope, "layer_norm", x, eps)?;
        let ffn = scope.enter("DenseReluDense");
        let up = b.linear(&ffn, "wi_1", h, config.d_ff, PLAIN)?;
        let gated = b.linear(&ffn, "wi_0", h, config.d_ff, Epilogue::GeluTanhTimes(up))?;
        // The gated product leaves the range of f16 in the real model.
        x = b.linear_precise(
            &ffn,
            "wo",
            gated,
            config.d_model,
            Epilogue::Residual {
                residual: x,
                gate: None,
            },
        )?;
        b.tap(&format!("block.{layer}"), x);
    }
    let hidden = b.rms_norm(&encoder, "final_layer_norm", x, eps)?;
    b.output("hidden", hidden);
    Ok(b.finish())
}

const PLAIN: Epilogue = Epilogue::Activation(Activation::None);
