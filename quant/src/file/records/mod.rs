//! Files whose quantised weights have their scales in tensors of their own, seen as records.
//!
//! ComfyUI's conventions, for a layer X: `X.scale_weight` beside an fp8 `X.weight`, with a marker `scaled_fp8` (old);
//! JSON in a U8 tensor `X.comfy_quant`, or for all layers in the header's `_quantization_metadata`, with
//! `X.weight_scale` and its kin (new). `X.pre_quant_scale` stays visible: it belongs to the layer's input.

mod config;
mod layer;
mod split;
mod swizzle;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub use config::{LayerConfig, parse_layer_config, parse_quantization_metadata};
use layer::Layer;
pub(super) use split::{announce, split};

use crate::{DType, Error, Listing, Result, Tensor, TensorInfo, Weights};

/// Key of the metadata that describes all layers.
const METADATA_KEY: &str = "_quantization_metadata";

/// The marker of old files.
const MARKER: &str = "scaled_fp8";

/// Tensors that belong to a quantised weight, by what follows the layer's name.
const PARTS: [&str; 9] = [
    "comfy_quant",
    "weight_scale",
    "weight_scale_2",
    "weight_zero",
    "weight_zeros",
    "input_scale",
    "scale_weight",
    "scale_input",
    "comfy_attention.config",
];

/// Weights with quantised tensors as records; the tensors of their scales are hidden.
pub struct Records<W> {
    inner: W,
    /// By the name of the weight.
    layers: BTreeMap<String, Layer>,
    hidden: BTreeSet<String>,
}

impl<W: Weights> Records<W> {
    /// `inner` as it is said to be quantised by its tensors and metadata. All scales are checked here.
    ///
    /// # Errors
    /// [`Error::Quantised`]: a format that is not read, broken JSON, scales that are missing, of the wrong type or
    /// shape, not numbers, infinite or below zero.
    pub fn new(inner: W) -> Result<Self> {
        let mut layers = BTreeMap::new();
        let mut hidden: BTreeSet<_> = inner.names().into_iter().filter(|n| is_marker(n)).collect();
        for (layer, config) in configs(&inner)? {
            let weight = format!("{layer}.weight");
            // Metadata may speak of layers that lie in other files.
            if inner.listing(&weight).is_none() {
                continue;
            }
            let read = Layer::new(&inner, &layer, &config).map_err(|reason| quantised(&inner, &weight, reason))?;
            layers.extend(read.map(|read| (weight, read)));
            let parts = PARTS.map(|part| format!("{layer}.{part}"));
            hidden.extend(parts.into_iter().filter(|part| inner.listing(part).is_some()));
        }
        Ok(Self { inner, layers, hidden })
    }

    fn visible(&self, name: &str) -> bool {
        !self.hidden.contains(name)
    }
}

fn is_marker(name: &str) -> bool {
    name.rsplit('.').next() == Some(MARKER)
}

fn quantised(weights: &dyn Weights, name: &str, reason: String) -> Error {
    Error::Quantised {
        origin: weights.origin(),
        name: name.to_owned(),
        reason,
    }
}

/// How each layer is quantised, by its name.
fn configs(file: &dyn Weights) -> Result<BTreeMap<String, LayerConfig>> {
    let mut configs = BTreeMap::new();
    for name in file.names() {
        let Some((layer, part)) = name.rsplit_once('.') else {
            continue;
        };
        if part == "comfy_quant" {
            let size = file.listing(&name).map_or(0, |l| l.bytes);
            let text = match size <= config::MAX_CONFIG as u64 {
                true => file.tensor(&name)?.data.into_owned(),
                false => return Err(quantised(file, &name, format!("its description takes {size} bytes"))),
            };
            let config = parse_layer_config(&text).map_err(|reason| quantised(file, &name, reason))?;
            configs.insert(layer.to_owned(), config);
        } else if matches!(part, "scale_weight" | "weight_scale") && !configs.contains_key(layer) {
            // Old files name no format, and files of other programs may not: the type of the elements does.
            let weight = file.info(&format!("{layer}.weight")).map(|info| info.dtype);
            let format = match weight {
                Some(DType::F8E5M2) => "float8_e5m2",
                Some(DType::F8E4M3) => "float8_e4m3fn",
                Some(_) if part == "scale_weight" => "float8_e4m3fn",
                _ => continue,
            };
            let config = LayerConfig {
                format: format.to_owned(),
                ..LayerConfig::default()
            };
            configs.insert(layer.to_owned(), config);
        }
    }
    if let Some(text) = file.metadata().get(METADATA_KEY) {
        let said = parse_quantization_metadata(text).map_err(|reason| quantised(file, METADATA_KEY, reason))?;
        configs.extend(said);
    }
    Ok(configs)
}

impl<W: Weights> Weights for Records<W> {
    fn info(&self, name: &str) -> Option<TensorInfo> {
        match self.layers.get(name) {
            Some(layer) => Some(layer.info.clone()),
            None => self.inner.info(name).filter(|_| self.visible(name)),
        }
    }

    fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        match self.layers.get(name) {
            Some(layer) => self.rows(name, 0..layer.info.shape[0]),
            None if self.visible(name) => self.inner.tensor(name),
            None => Err(self.missing(name)),
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.inner.names();
        names.retain(|name| self.visible(name));
        names
    }

    fn origin(&self) -> String {
        self.inner.origin()
    }

    fn missing(&self, name: &str) -> Error {
        self.inner.missing(name)
    }

    fn rows(&self, name: &str, range: Range<usize>) -> Result<Tensor<'_>> {
        let Some(layer) = self.layers.get(name) else {
            return match self.visible(name) {
                true => self.inner.rows(name, range),
                false => Err(self.missing(name)),
            };
        };
        let bytes = layer.info.row_bytes(&range)?;
        let mut data = vec![0; bytes.len()];
        layer.read(&self.inner, range.clone(), &mut data)?;
        Tensor::new(layer.info.dtype, &[range.len(), layer.info.shape[1]], data)
    }

    fn read_rows(&self, name: &str, range: Range<usize>, out: &mut [u8]) -> Result<()> {
        let Some(layer) = self.layers.get(name) else {
            return match self.visible(name) {
                true => self.inner.read_rows(name, range, out),
                false => Err(self.missing(name)),
            };
        };
        if layer.info.row_bytes(&range)?.len() != out.len() {
            return Err(Error::Length {
                dtype: layer.info.dtype,
                shape: vec![range.len(), layer.info.shape[1]],
                got: out.len(),
            });
        }
        layer.read(&self.inner, range, out)?;
        self.inner.check()
    }

    fn check(&self) -> Result<()> {
        self.inner.check()
    }

    fn release(&self, name: &str) {
        let stored = self.layers.get(name).map_or(name, Layer::weight);
        self.inner.release(stored);
    }

    fn listing(&self, name: &str) -> Option<Listing> {
        match self.layers.get(name) {
            Some(layer) => Some(layer.info.clone().into()),
            None => self.inner.listing(name).filter(|_| self.visible(name)),
        }
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.inner.metadata()
    }
}
