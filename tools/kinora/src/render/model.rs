//! From the options to a model: files given, or the one in the box.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kinora_models::lora::LoraSpec;
use kinora_models::wan::{Model, Source};
use kinora_quant::file::fingerprint;

use super::args::ModelArgs;

/// Opens the model that the options name; the one in the box where they name none.
pub(super) fn open(args: &ModelArgs) -> anyhow::Result<Model> {
    let mut source = Source {
        paths: args.model.clone(),
        high: args.high.clone(),
        low: args.low.clone(),
        vae: args.vae.clone(),
        text_encoder: args.text_encoder.clone(),
        tokenizer: args.tokenizer.clone(),
        variant: args.variant,
    };
    if source.paths.is_empty() && source.high.is_none() && source.low.is_none() {
        source.paths = vec![in_the_box()?];
    }
    Ok(Model::open(&source)?)
}

/// Folder of the model in the box, unpacked at the first use.
fn in_the_box() -> anyhow::Result<PathBuf> {
    let cache = cache_folder();
    kinora_demo_model::unpack(&cache).with_context(|| {
        format!(
            "cannot unpack the model in the box below {}; set KINORA_CACHE to a writable folder",
            cache.display()
        )
    })
}

/// `KINORA_CACHE`, else the platform's place for caches, else the temporary folder.
fn cache_folder() -> PathBuf {
    let from = |name: &str, sub: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(|v| Path::new(&v).join(sub))
    };
    from("KINORA_CACHE", "")
        .or_else(|| from("XDG_CACHE_HOME", "kinora"))
        .or_else(|| from("LOCALAPPDATA", "kinora/cache"))
        .or_else(|| from("HOME", ".cache/kinora"))
        .unwrap_or_else(|| std::env::temp_dir().join("kinora"))
}

/// Identity of each of the model's files, then of each LoRA with its name, strength and expert.
pub(super) fn fingerprints(model: &Model, loras: &[LoraSpec]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for file in &model.files {
        lines.push(fingerprint(file)?);
    }
    for lora in loras {
        // Without its folder: the file may move between two runs.
        let name = LoraSpec {
            path: lora.path.file_name().unwrap_or_default().into(),
            ..lora.clone()
        };
        lines.push(format!("lora {name} {}", fingerprint(&lora.path)?));
    }
    Ok(lines)
}
