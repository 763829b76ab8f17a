//! What a file says of its quantised layers: `comfy_quant` tensors and `_quantization_metadata`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::json::{self, UniqueMap};

/// Longest `comfy_quant` tensor that is read, in bytes (real ones take some 100).
pub(super) const MAX_CONFIG: usize = 1 << 16;

/// How a layer is quantised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerConfig {
    /// Name of the format.
    pub format: String,
    /// Elements of the groups in which rows are rotated, where they are.
    pub rotation: Option<usize>,
    /// Elements that share a scale, where the format leaves it open.
    pub group: Option<usize>,
    /// Rows before they were padded.
    pub rows: Option<usize>,
}

/// ComfyUI's size of a group of a rotation, where the file does not say.
const DEFAULT_ROTATION: usize = 256;

#[derive(Deserialize)]
struct RawConfig {
    format: String,
    #[serde(default)]
    orig_shape: Option<[usize; 2]>,
    #[serde(default)]
    convrot: Option<bool>,
    #[serde(default)]
    convrot_groupsize: Option<usize>,
    #[serde(default)]
    group_size: Option<usize>,
    #[serde(default)]
    params: RawParams,
}

/// The same options, where some files have them.
#[derive(Default, Deserialize)]
struct RawParams {
    #[serde(default)]
    convrot: Option<bool>,
    #[serde(default)]
    convrot_groupsize: Option<usize>,
    #[serde(default)]
    group_size: Option<usize>,
}

impl From<RawConfig> for LayerConfig {
    fn from(raw: RawConfig) -> Self {
        let rotated = raw.convrot.or(raw.params.convrot).unwrap_or(false);
        let rotation = raw.convrot_groupsize.or(raw.params.convrot_groupsize);
        Self {
            format: raw.format,
            rotation: rotated.then(|| rotation.unwrap_or(DEFAULT_ROTATION)),
            group: raw.group_size.or(raw.params.group_size),
            rows: raw.orig_shape.map(|[rows, _]| rows),
        }
    }
}

/// Reads the bytes of a `comfy_quant` tensor.
///
/// # Errors
/// In words: too long, or not the JSON that belongs there.
pub fn parse_layer_config(bytes: &[u8]) -> Result<LayerConfig, String> {
    if bytes.len() > MAX_CONFIG {
        return Err(format!("it takes {} bytes (the limit is {MAX_CONFIG})", bytes.len()));
    }
    json::parse::<RawConfig>(bytes).map(LayerConfig::from)
}

/// Reads the text of a header's `_quantization_metadata`: layers by name.
///
/// # Errors
/// In words: not the JSON that belongs there, or a layer that is there twice.
pub fn parse_quantization_metadata(text: &str) -> Result<BTreeMap<String, LayerConfig>, String> {
    #[derive(Deserialize)]
    struct Raw {
        layers: UniqueMap<RawConfig>,
    }
    let UniqueMap(layers) = json::parse::<Raw>(text.as_bytes())?.layers;
    Ok(layers.into_iter().map(|(name, raw)| (name, raw.into())).collect())
}
