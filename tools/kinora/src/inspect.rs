//! What a file is and what would run it: `kinora inspect`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kinora_models::lora;
use kinora_models::text::umt5::Umt5Config;
use kinora_models::wan::names::{self, Part};
use kinora_models::wan::open::{open_part, read_json};
use kinora_models::wan::variant::Variant;
use kinora_models::wan::{TransformerConfig, VaeConfig};
use kinora_quant::{Weights, file};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::units::printable;

/// Folders of a diffusers model that hold weights.
const PARTS: [&str; 4] = ["transformer", "transformer_2", "vae", "text_encoder"];

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The path as it was given.
    pub path: PathBuf,
    /// What it is, e.g. `transformer`, `model`, `clip`.
    pub kind: String,
    /// Official models that it can be part of, where its shape is one of theirs.
    pub variants: Vec<String>,
    /// Naming of the tensors, where they are a part of a model that is known.
    pub naming: Option<&'static str>,
    /// The part's configuration, from the file beside it or from the tensors.
    pub config: Option<Value>,
    /// The file's own remarks.
    pub metadata: BTreeMap<String, String>,
    /// Every tensor, sorted by name.
    pub tensors: Vec<TensorLine>,
    /// Sums over the tensors.
    pub totals: Totals,
    /// The command that would use it, or why none would.
    pub use_with: String,
    /// Of a model's folder: its parts.
    pub parts: Vec<Report>,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorLine {
    /// Name as stored.
    pub name: String,
    /// What the file calls the type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Bytes in the file.
    pub bytes: u64,
    /// Whether this version reads the type.
    pub readable: bool,
}

/// Sums over tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Number of elements.
    pub parameters: u64,
    /// Bytes in the file.
    pub bytes: u64,
    /// Number of tensors of each type.
    pub types: BTreeMap<String, usize>,
}

/// Looks at a file of weights, the folder of a model or of one of its parts, or a clip.
///
/// # Errors
/// If there is nothing, or nothing that is known.
pub fn inspect(path: &Path) -> anyhow::Result<Report> {
    if path.join("model_index.json").is_file() {
        return model_folder(path);
    }
    let error = match file::open(path) {
        Ok(weights) => return Ok(tensors(path, &*weights)),
        Err(error) => error,
    };
    match kinora_media::read_metadata(path) {
        Ok(metadata) => Ok(clip(path, metadata)),
        // Whatever claims to be a clip is judged as one.
        Err(media) if is_clip(path) => Err(media.into()),
        Err(_) => Err(error.into()),
    }
}

fn is_clip(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    matches!(
        extension.as_str(),
        "mp4" | "m4v" | "mov" | "mkv" | "webm" | "webp" | "gif" | "png" | "exr"
    )
}

impl Report {
    fn new(path: &Path, kind: &str, use_with: String) -> Self {
        Self {
            path: path.to_owned(),
            kind: kind.to_owned(),
            variants: Vec::new(),
            naming: None,
            config: None,
            metadata: BTreeMap::new(),
            tensors: Vec::new(),
            totals: Totals::default(),
            use_with,
            parts: Vec::new(),
        }
    }

    /// Names of the types that this version does not read.
    pub fn unreadable(&self) -> Vec<&str> {
        let mut types: Vec<&str> = self
            .tensors
            .iter()
            .filter(|t| !t.readable)
            .map(|t| t.type_name.as_str())
            .collect();
        types.sort_unstable();
        types.dedup();
        types
    }
}

fn clip(path: &Path, metadata: BTreeMap<String, String>) -> Report {
    let use_with = if metadata.contains_key(SETTINGS) {
        format!("kinora render --like {} -o OTHER", path.display())
    } else {
        "no settings of Kinora are in it, so it can only be watched".to_owned()
    };
    Report {
        metadata,
        ..Report::new(path, "clip", use_with)
    }
}

/// The key under which a clip carries the settings that it was rendered with.
const SETTINGS: &str = "kinora";

fn model_folder(folder: &Path) -> anyhow::Result<Report> {
    let index: Value = read_json(&folder.join("model_index.json"))?;
    let mut report = Report::new(folder, "model", String::new());
    for part in PARTS
        .map(|part| folder.join(part))
        .into_iter()
        .filter(|part| part.is_dir())
    {
        let part = inspect(&part)?;
        report.totals.parameters += part.totals.parameters;
        report.totals.bytes += part.totals.bytes;
        for (name, count) in &part.totals.types {
            *report.totals.types.entry(name.clone()).or_default() += count;
        }
        if report.variants.is_empty() {
            report.variants.clone_from(&part.variants);
        }
        report.parts.push(part);
    }
    let class = index.get("_class_name").and_then(Value::as_str).unwrap_or_default();
    let missing: Vec<&str> = report.parts.iter().flat_map(Report::unreadable).collect();
    report.use_with = if !class.starts_with("Wan") {
        format!(
            "nothing here runs a `{}` yet; the Wan family is supported",
            printable(class)
        )
    } else if missing.is_empty() {
        render(&format!("--model {}", folder.display()))
    } else {
        format!("nothing here reads {} yet", missing.join(", "))
    };
    report.config = Some(index);
    Ok(report)
}

fn tensors(path: &Path, weights: &dyn Weights) -> Report {
    let part = names::detect(weights);
    let mut report = Report::new(path, "tensors", String::new());
    report.metadata = weights.metadata();
    for name in weights.names() {
        let Some(listing) = weights.listing(&name) else {
            continue;
        };
        report.totals.parameters += listing.shape.iter().map(|n| *n as u64).product::<u64>();
        report.totals.bytes += listing.bytes;
        *report.totals.types.entry(listing.type_name.clone()).or_default() += 1;
        report.tensors.push(TensorLine {
            name,
            type_name: listing.type_name,
            shape: listing.shape,
            bytes: listing.bytes,
            readable: listing.dtype.is_some(),
        });
    }
    if let Some(part) = part {
        report.kind = part.to_string();
        report.naming = Some(naming(part, weights));
        describe(&mut report, path, part);
    }
    report.use_with = use_with(&report, path, part);
    if let (None, Some(lora)) = (part, lora::kind(weights)) {
        describe_lora(&mut report, path, &lora);
    }
    report
}

/// What kind of LoRA, and for which models.
fn describe_lora(report: &mut Report, path: &Path, lora: &lora::Kind) {
    report.kind = format!("LoRA ({}, {} layers)", lora.schemes.join(" and "), lora.layers);
    report.variants = lora.variants.iter().map(|v| v.name().to_owned()).collect();
    report.use_with = match lora.is_for_wan() {
        true => render(&format!("--model MODEL --lora {}", path.display())),
        false => format!("nothing here uses it: {lora}"),
    };
}

fn naming(part: Part, weights: &dyn Weights) -> &'static str {
    let canonical = |name: &String| names::canonical(part, name) == *name;
    if weights.names().iter().all(canonical) {
        "diffusers"
    } else {
        "original"
    }
}

/// Configuration and variants, as far as they can be told.
fn describe(report: &mut Report, path: &Path, part: Part) {
    let Ok(weights) = open_part(path, part) else { return };
    let beside = path.join("config.json");
    match part {
        Part::Transformer => {
            let config = config::<TransformerConfig>(&beside, || TransformerConfig::detect(&*weights));
            let variants = config.as_ref().map(Variant::candidates).unwrap_or_default();
            report.variants = variants.into_iter().map(|v| v.name().to_owned()).collect();
            report.config = config.and_then(|c| json(&c));
        }
        Part::Vae => {
            let config = config::<VaeConfig>(&beside, || VaeConfig::detect(&*weights));
            report.config = config.and_then(|c| json(&c));
        }
        Part::TextEncoder => {
            let config = config::<Umt5Config>(&beside, || Umt5Config::detect(&*weights));
            report.config = config.and_then(|c| json(&c));
        }
    }
}

/// Through text, because a direct conversion shows 1e-6 as 9.999999974752427e-7.
fn json(config: &impl Serialize) -> Option<Value> {
    serde_json::from_str(&serde_json::to_string(config).ok()?).ok()
}

fn config<T: DeserializeOwned>(beside: &Path, detect: impl FnOnce() -> kinora_models::Result<T>) -> Option<T> {
    if beside.is_file() {
        read_json(beside).ok()
    } else {
        detect().ok()
    }
}

fn use_with(report: &Report, path: &Path, part: Option<Part>) -> String {
    let unreadable = report.unreadable();
    if !unreadable.is_empty() {
        return format!(
            "nothing here reads {} yet; use a version with F32, F16 or BF16 weights",
            unreadable.join(", ")
        );
    }
    let path = path.display();
    let experts = |variant: &String| variant.ends_with("a14b");
    match part {
        None => "nothing here runs it: it is no part of a Wan model".to_owned(),
        Some(Part::Transformer) if report.config.is_none() => {
            "nothing here runs it as it is: its shape is none of the official models', so it needs a config.json in its folder".to_owned()
        }
        Some(Part::Transformer) if report.variants.iter().any(experts) => {
            let two = render(&format!("--high {path} --low OTHER_EXPERT --model VAE TEXT_ENCODER"));
            match report.variants.as_slice() {
                [_] => format!("{two} (as --low, if it is the low-noise expert)"),
                _ => format!("{two} (as --low, if it is the low-noise expert), or {}", render(&format!("--model {path} VAE TEXT_ENCODER --variant NAME"))),
            }
        }
        Some(Part::Transformer) => render(&format!("--model {path} VAE TEXT_ENCODER")),
        Some(Part::Vae) => render(&format!("--model TRANSFORMER {path} TEXT_ENCODER")),
        Some(Part::TextEncoder) => render(&format!("--model TRANSFORMER VAE {path}")),
    }
}

fn render(options: &str) -> String {
    format!("kinora render \"PROMPT\" -o clip.mp4 {options}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinora_quant::Tensor;

    fn save(folder: &Path, name: &str, tensors: &[(&str, &[usize])]) -> PathBuf {
        let path = folder.join(name);
        let tensors: BTreeMap<String, Tensor<'_>> = tensors
            .iter()
            .map(|(name, shape)| {
                (
                    (*name).to_owned(),
                    Tensor::from_f32(shape, &vec![0.0; shape.iter().product()]),
                )
            })
            .collect();
        file::save(
            &path,
            &tensors,
            &BTreeMap::from([("made by".to_owned(), "a test".to_owned())]),
        )
        .unwrap();
        path
    }

    #[test]
    fn parts_are_told_by_their_tensors() {
        let folder = tempfile::tempdir().unwrap();
        let vae = save(
            folder.path(),
            "vae.safetensors",
            &[("decoder.conv1.weight", &[8, 16, 3, 3, 3]), ("conv1.bias", &[32])],
        );
        let report = inspect(&vae).unwrap();
        assert_eq!((report.kind.as_str(), report.naming), ("autoencoder", Some("original")));
        assert_eq!(report.totals.bytes, 4 * (8 * 16 * 27 + 32));
        assert_eq!(report.metadata["made by"], "a test");
        assert!(report.config.is_some() && report.use_with.contains("vae.safetensors"));

        let other = inspect(&save(folder.path(), "other.safetensors", &[("lora.down", &[2, 2])])).unwrap();
        assert_eq!((other.kind.as_str(), other.config), ("tensors", None));
        assert!(other.use_with.contains("nothing"));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_a_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["clip.mp4", "model.safetensors"] {
            let path = folder.path().join(name);
            assert!(inspect(&path).unwrap_err().to_string().contains(name));
            std::fs::write(&path, b"hello").unwrap();
            assert!(inspect(&path).unwrap_err().to_string().contains(name));
        }
    }
}
