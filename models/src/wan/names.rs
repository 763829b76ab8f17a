//! Tensor names: from those found in files to the canonical (diffusers') ones.
//!
//! Original names are those of Wan-Video/Wan2.2 (`wan/modules/{model,vae2_1,vae2_2,t5}.py`), which ComfyUI's
//! files keep, sometimes behind a prefix. GGUF files of text encoders have llama.cpp's (`gguf-py/gguf/tensor_mapping.py`).

use kinora_quant::Weights;

/// Parts of a Wan model that come in files of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A diffusion transformer (one expert).
    Transformer,
    /// The autoencoder.
    Vae,
    /// umT5.
    TextEncoder,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Transformer => "transformer",
            Self::Vae => "autoencoder",
            Self::TextEncoder => "text encoder",
        })
    }
}

/// Prefixes under which whole models are stored in combined files.
const PREFIXES: [&str; 3] = ["model.diffusion_model.", "diffusion_model.", "model."];

/// Which part a file holds, told by tensors that only that part has, in any naming.
pub fn detect(weights: &dyn Weights) -> Option<Part> {
    let has = |name: &str| {
        weights.info(name).is_some() || PREFIXES.iter().any(|p| weights.info(&format!("{p}{name}")).is_some())
    };
    if has("patch_embedding.weight") {
        Some(Part::Transformer)
    } else if has("decoder.conv_in.weight") || has("decoder.conv1.weight") {
        Some(Part::Vae)
    } else if has("shared.weight") || has("token_embedding.weight") || has("enc.blk.0.attn_rel_b.weight") {
        Some(Part::TextEncoder)
    } else {
        None
    }
}

/// Canonical name of a stored tensor; names that are canonical already, or unknown, come back as they are.
pub fn canonical(part: Part, stored: &str) -> String {
    let name = PREFIXES.iter().find_map(|p| stored.strip_prefix(p)).unwrap_or(stored);
    match part {
        Part::Transformer => transformer(name),
        Part::Vae => vae(name),
        Part::TextEncoder => text_encoder(name),
    }
}

/// Whether a stored tensor is no weight of the model: duplicates of tied tensors, embedded tokenizers, markers.
pub fn is_extra(part: Part, canonical: &str) -> bool {
    match part {
        Part::TextEncoder => matches!(canonical, "encoder.embed_tokens.weight" | "spiece_model" | "scaled_fp8"),
        Part::Transformer | Part::Vae => canonical == "scaled_fp8",
    }
}

/// (original, canonical) pieces of transformer names; the first that matches a whole dotted piece run wins.
const TRANSFORMER: [(&str, &str); 12] = [
    ("time_embedding.0.", "condition_embedder.time_embedder.linear_1."),
    ("time_embedding.2.", "condition_embedder.time_embedder.linear_2."),
    ("text_embedding.0.", "condition_embedder.text_embedder.linear_1."),
    ("text_embedding.2.", "condition_embedder.text_embedder.linear_2."),
    ("time_projection.1.", "condition_embedder.time_proj."),
    ("img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
    ("img_emb.proj.0.", "condition_embedder.image_embedder.norm1."),
    ("img_emb.proj.1.", "condition_embedder.image_embedder.ff.net.0.proj."),
    ("img_emb.proj.3.", "condition_embedder.image_embedder.ff.net.2."),
    ("img_emb.proj.4.", "condition_embedder.image_embedder.norm2."),
    ("head.modulation", "scale_shift_table"),
    ("head.head.", "proj_out."),
];

/// The same for what follows `blocks.N.`.
const BLOCK: [(&str, &str); 6] = [
    ("modulation", "scale_shift_table"),
    ("ffn.0.", "ffn.net.0.proj."),
    ("ffn.2.", "ffn.net.2."),
    ("norm3.", "norm2."),
    ("self_attn.", "attn1."),
    ("cross_attn.", "attn2."),
];

/// The same for what follows `self_attn.` or `cross_attn.`.
const ATTENTION: [(&str, &str); 7] = [
    ("q.", "to_q."),
    ("k.", "to_k."),
    ("v.", "to_v."),
    ("o.", "to_out.0."),
    ("k_img.", "add_k_proj."),
    ("v_img.", "add_v_proj."),
    ("norm_k_img.", "norm_added_k."),
];

fn transformer(name: &str) -> String {
    let Some((layer, rest)) = name.strip_prefix("blocks.").and_then(|r| r.split_once('.')) else {
        return replace_prefix(name, &TRANSFORMER).unwrap_or_else(|| name.to_owned());
    };
    // `norm2` of a block occurs in canonical names only (the affine norm is `norm3` in the original).
    let original = ["self_attn.", "cross_attn.", "ffn.0.", "ffn.2.", "norm3.", "modulation"];
    if !original.iter().any(|p| rest.starts_with(p)) {
        return name.to_owned();
    }
    let renamed = replace_prefix(rest, &BLOCK).unwrap_or_else(|| rest.to_owned());
    let renamed = match renamed.split_at_checked("attnN.".len()) {
        Some((attn @ ("attn1." | "attn2."), rest)) => {
            format!(
                "{attn}{}",
                replace_prefix(rest, &ATTENTION).unwrap_or_else(|| rest.to_owned())
            )
        }
        _ => renamed,
    };
    format!("blocks.{layer}.{renamed}")
}

/// The original name of a canonical tensor of the transformer: the tables of [`canonical`] backwards.
pub(crate) fn original_transformer(name: &str) -> String {
    let Some((layer, rest)) = name.strip_prefix("blocks.").and_then(|r| r.split_once('.')) else {
        return replace_back(name, &TRANSFORMER).unwrap_or_else(|| name.to_owned());
    };
    let rest = replace_back(rest, &BLOCK).unwrap_or_else(|| rest.to_owned());
    let attention = ["self_attn.", "cross_attn."];
    let rest = match attention.iter().find_map(|a| Some((a, rest.strip_prefix(a)?))) {
        Some((attention, inner)) => {
            let inner = replace_back(inner, &ATTENTION).unwrap_or_else(|| inner.to_owned());
            format!("{attention}{inner}")
        }
        None => rest,
    };
    format!("blocks.{layer}.{rest}")
}

/// Layers of a residual block in `residual.N` numbering.
const RESIDUAL: [(&str, &str); 5] = [
    ("residual.0.", "norm1."),
    ("residual.2.", "conv1."),
    ("residual.3.", "norm2."),
    ("residual.6.", "conv2."),
    ("shortcut.", "conv_shortcut."),
];

fn vae(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("conv1.") {
        return format!("quant_conv.{rest}");
    }
    if let Some(rest) = name.strip_prefix("conv2.") {
        return format!("post_quant_conv.{rest}");
    }
    let Some((side @ ("encoder" | "decoder"), rest)) = name.split_once('.') else {
        return name.to_owned();
    };
    let renamed = vae_layer(side, rest).unwrap_or_else(|| rest.to_owned());
    format!("{side}.{renamed}")
}

/// One layer of the encoder or decoder; `None` where the name is canonical already.
fn vae_layer(side: &str, rest: &str) -> Option<String> {
    const TOP: [(&str, &str); 6] = [
        ("conv1.", "conv_in."),
        ("head.0.", "norm_out."),
        ("head.2.", "conv_out."),
        ("middle.0.", "mid_block.resnets.0."),
        ("middle.1.", "mid_block.attentions.0."),
        ("middle.2.", "mid_block.resnets.1."),
    ];
    if let Some(renamed) = replace_prefix(rest, &TOP) {
        return Some(residual(&renamed));
    }
    let (list, layers) = rest.split_once('.')?;
    let (index, inner) = layers.split_once('.')?;
    let index: usize = index.parse().ok()?;
    if !matches!(list, "downsamples" | "upsamples") {
        return None;
    }
    // Wan 2.2 nests a second list of layers in each level.
    if let Some((index_in_level, inner)) = inner
        .strip_prefix("downsamples.")
        .or(inner.strip_prefix("upsamples."))
        .and_then(|r| r.split_once('.'))
    {
        let resampler = inner.starts_with("resample.") || inner.starts_with("time_conv.");
        let blocks = if side == "encoder" { "down_blocks" } else { "up_blocks" };
        let layer = match (resampler, side) {
            (true, "encoder") => "downsampler".to_owned(),
            (true, _) => "upsampler".to_owned(),
            (false, _) => format!("resnets.{index_in_level}"),
        };
        return Some(residual(&format!("{blocks}.{index}.{layer}.{inner}")));
    }
    // Wan 2.1: the encoder's list is flat in both namings; the decoder has four layers to a level.
    Some(residual(&match (side, index % 4) {
        ("encoder", _) => format!("down_blocks.{index}.{inner}"),
        (_, 3) => format!("up_blocks.{}.upsamplers.0.{inner}", index / 4),
        (_, resnet) => format!("up_blocks.{}.resnets.{resnet}.{inner}", index / 4),
    }))
}

/// Renames the layers of a residual block at the end of `name`.
fn residual(name: &str) -> String {
    RESIDUAL
        .iter()
        .find_map(|(from, to)| {
            let at = name
                .find(from)
                .filter(|at| *at == 0 || name.as_bytes()[at - 1] == b'.')?;
            Some(format!("{}{to}{}", &name[..at], &name[at + from.len()..]))
        })
        .unwrap_or_else(|| name.to_owned())
}

fn text_encoder(name: &str) -> String {
    const TOP: [(&str, &str); 4] = [
        ("token_embedding.", "shared."),
        ("norm.", "encoder.final_layer_norm."),
        ("token_embd.", "shared."),
        ("enc.output_norm.", "encoder.final_layer_norm."),
    ];
    const LLAMA_BLOCK: [(&str, &str); 10] = [
        ("attn_norm.", "layer.0.layer_norm."),
        ("attn_q.", "layer.0.SelfAttention.q."),
        ("attn_k.", "layer.0.SelfAttention.k."),
        ("attn_v.", "layer.0.SelfAttention.v."),
        ("attn_o.", "layer.0.SelfAttention.o."),
        ("attn_rel_b.", "layer.0.SelfAttention.relative_attention_bias."),
        ("ffn_norm.", "layer.1.layer_norm."),
        ("ffn_gate.", "layer.1.DenseReluDense.wi_0."),
        ("ffn_up.", "layer.1.DenseReluDense.wi_1."),
        ("ffn_down.", "layer.1.DenseReluDense.wo."),
    ];
    const BLOCK: [(&str, &str); 7] = [
        ("norm1.", "layer.0.layer_norm."),
        ("norm2.", "layer.1.layer_norm."),
        ("attn.", "layer.0.SelfAttention."),
        (
            "pos_embedding.embedding.",
            "layer.0.SelfAttention.relative_attention_bias.",
        ),
        ("ffn.gate.0.", "layer.1.DenseReluDense.wi_0."),
        ("ffn.fc1.", "layer.1.DenseReluDense.wi_1."),
        ("ffn.fc2.", "layer.1.DenseReluDense.wo."),
    ];
    let blocks = [("blocks.", &BLOCK[..]), ("enc.blk.", &LLAMA_BLOCK)];
    let block = blocks.into_iter().find_map(|(list, table)| {
        let (layer, rest) = name.strip_prefix(list)?.split_once('.')?;
        Some((layer, rest, table))
    });
    match block {
        Some((layer, rest, table)) => {
            let renamed = replace_prefix(rest, table).unwrap_or_else(|| rest.to_owned());
            format!("encoder.block.{layer}.{renamed}")
        }
        None => replace_prefix(name, &TOP).unwrap_or_else(|| name.to_owned()),
    }
}

fn replace_prefix(name: &str, table: &[(&str, &str)]) -> Option<String> {
    table
        .iter()
        .find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)))
}

fn replace_back(name: &str, table: &[(&str, &str)]) -> Option<String> {
    table
        .iter()
        .find_map(|(to, from)| Some(format!("{to}{}", name.strip_prefix(from)?)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kinora_quant::file::{self, GgufValue, Writer};
    use kinora_quant::{DType, TensorInfo};

    use super::*;
    use crate::text::umt5::Umt5Config;

    #[test]
    fn transformer_names_go_back() {
        for original in [
            "patch_embedding.weight",
            "time_embedding.2.bias",
            "time_projection.1.weight",
            "text_embedding.0.weight",
            "img_emb.emb_pos",
            "img_emb.proj.4.bias",
            "head.head.weight",
            "head.modulation",
            "blocks.7.modulation",
            "blocks.7.norm3.weight",
            "blocks.17.self_attn.norm_q.weight",
            "blocks.17.self_attn.o.bias",
            "blocks.17.cross_attn.k_img.weight",
            "blocks.17.cross_attn.norm_k_img.weight",
            "blocks.17.ffn.2.weight",
        ] {
            assert_eq!(original_transformer(&canonical(Part::Transformer, original)), original);
        }
    }

    #[test]
    fn original_names_become_canonical() {
        for (part, original, expected) in [
            (
                Part::Transformer,
                "model.diffusion_model.blocks.3.self_attn.o.weight",
                "blocks.3.attn1.to_out.0.weight",
            ),
            (
                Part::Transformer,
                "blocks.0.cross_attn.norm_k_img.weight",
                "blocks.0.attn2.norm_added_k.weight",
            ),
            (
                Part::Transformer,
                "blocks.0.cross_attn.norm_q.weight",
                "blocks.0.attn2.norm_q.weight",
            ),
            (Part::Transformer, "blocks.11.norm3.bias", "blocks.11.norm2.bias"),
            (Part::Transformer, "blocks.11.norm2.bias", "blocks.11.norm2.bias"),
            (Part::Transformer, "head.modulation", "scale_shift_table"),
            (Part::Vae, "conv1.weight", "quant_conv.weight"),
            (
                Part::Vae,
                "decoder.upsamples.7.time_conv.bias",
                "decoder.up_blocks.1.upsamplers.0.time_conv.bias",
            ),
            (
                Part::Vae,
                "decoder.upsamples.4.shortcut.weight",
                "decoder.up_blocks.1.resnets.0.conv_shortcut.weight",
            ),
            (
                Part::Vae,
                "encoder.downsamples.1.downsamples.2.resample.1.weight",
                "encoder.down_blocks.1.downsampler.resample.1.weight",
            ),
            (
                Part::Vae,
                "encoder.downsamples.5.residual.6.bias",
                "encoder.down_blocks.5.conv2.bias",
            ),
            (
                Part::Vae,
                "decoder.middle.1.to_qkv.weight",
                "decoder.mid_block.attentions.0.to_qkv.weight",
            ),
            (
                Part::TextEncoder,
                "blocks.2.ffn.gate.0.weight",
                "encoder.block.2.layer.1.DenseReluDense.wi_0.weight",
            ),
            (Part::TextEncoder, "norm.weight", "encoder.final_layer_norm.weight"),
            (
                Part::TextEncoder,
                "enc.output_norm.weight",
                "encoder.final_layer_norm.weight",
            ),
            (Part::TextEncoder, "token_embd.weight", "shared.weight"),
            (
                Part::TextEncoder,
                "enc.blk.23.attn_rel_b.weight",
                "encoder.block.23.layer.0.SelfAttention.relative_attention_bias.weight",
            ),
            (
                Part::TextEncoder,
                "enc.blk.0.ffn_up.weight",
                "encoder.block.0.layer.1.DenseReluDense.wi_1.weight",
            ),
        ] {
            assert_eq!(canonical(part, original), expected);
            assert_eq!(canonical(part, expected), expected, "a canonical name stays");
        }
    }

    /// A text encoder of two blocks as llama.cpp's converter names its tensors.
    #[test]
    fn a_gguf_text_encoder_is_detected_and_has_every_tensor_of_its_graph() {
        let (width, hidden, heads) = (32, 64, 4);
        let mut shapes = vec![
            ("token_embd.weight".to_owned(), vec![96, width]),
            ("enc.output_norm.weight".to_owned(), vec![width]),
        ];
        for layer in 0..2 {
            for (name, shape) in [
                ("attn_norm", vec![width]),
                ("attn_q", vec![width, width]),
                ("attn_k", vec![width, width]),
                ("attn_v", vec![width, width]),
                ("attn_o", vec![width, width]),
                ("attn_rel_b", vec![32, heads]),
                ("ffn_norm", vec![width]),
                ("ffn_gate", vec![hidden, width]),
                ("ffn_up", vec![hidden, width]),
                ("ffn_down", vec![width, hidden]),
            ] {
                shapes.push((format!("enc.blk.{layer}.{name}.weight"), shape));
            }
        }
        let info = |(name, shape): (String, Vec<usize>)| {
            let block = shape.len() == 2 && shape[1] % 32 == 0;
            let dtype = if block { DType::Q8_0 } else { DType::F32 };
            (name, TensorInfo { dtype, shape })
        };
        let infos: BTreeMap<_, _> = shapes.into_iter().map(info).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("umt5.gguf");
        let metadata = BTreeMap::from([("general.architecture".to_owned(), GgufValue::from("t5encoder"))]);
        let mut writer = Writer::create_gguf(&path, &infos, &metadata).unwrap();
        for (name, info) in &infos {
            writer.write(name, &vec![0; info.bytes()]).unwrap();
        }
        writer.finish().unwrap();

        assert_eq!(detect(&*file::open(&path).unwrap()), Some(Part::TextEncoder));
        let weights = crate::wan::open::open_part(&path, Part::TextEncoder).unwrap();
        assert_eq!(weights.names().len(), infos.len());
        let config = Umt5Config::detect(&*weights).unwrap();
        let expected = Umt5Config {
            vocab_size: 96,
            d_model: width,
            d_kv: width / heads,
            d_ff: hidden,
            num_layers: 2,
            num_heads: heads,
            ..Umt5Config::xxl()
        };
        assert_eq!(config, expected);
        for name in weights.names() {
            assert!(name == "shared.weight" || name.starts_with("encoder."), "{name}");
        }
        let bias = "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight";
        assert_eq!(weights.info(bias).unwrap().shape, [32, heads]);
    }
}
