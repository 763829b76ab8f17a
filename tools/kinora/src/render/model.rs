//! From the options to a model: files given, or the one in the box.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kinora_models::lora::LoraSpec;
use kinora_models::wan::{Model, Source};
use kinora_quant::file::fingerprint;

use super::args::ModelArgs;
use crate::cache;
use crate::library::{self, Request};

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
    if let [name] = source.paths.as_slice()
        && let Some(named) = by_name(name)?
    {
        source = Source {
            high: source.high.or(named.high),
            low: source.low.or(named.low),
            vae: source.vae.or(named.vae),
            text_encoder: source.text_encoder.or(named.text_encoder),
            tokenizer: source.tokenizer,
            variant: source.variant.or(named.variant),
            paths: named.paths,
        };
    }
    if source.paths.is_empty() && source.high.is_none() && source.low.is_none() {
        source.paths = vec![in_the_box()?];
    }
    Ok(Model::open(&source)?)
}

/// The files that `VARIANT` or `VARIANT:TYPE` means; `None` for what is a path or no such name.
fn by_name(name: &Path) -> anyhow::Result<Option<Source>> {
    let request = name.to_str().and_then(|name| name.parse::<Request>().ok());
    let Some(request) = request.filter(|_| !name.exists()) else {
        return Ok(None);
    };
    let roots = library::roots(|name| std::env::var_os(name));
    let resolved = library::resolve(&request, &library::scan(&roots), &roots)?;
    tracing::info!("{request} is {resolved:?}");
    Ok(Some(resolved.source(request.variant)))
}

/// Folder of the model in the box, unpacked at the first use.
fn in_the_box() -> anyhow::Result<PathBuf> {
    let cache = cache::folder();
    kinora_demo_model::unpack(&cache).with_context(|| {
        format!(
            "cannot unpack the model in the box below {}; set KINORA_CACHE to a writable folder",
            cache.display()
        )
    })
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
