//! Prompts that were encoded before: the text encoder is the largest file of many models, and prompts come again.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use kinora_graph::Executor;
use kinora_models::pipeline::{Embedding, Listener, Settings, encode_text};
use kinora_models::wan::Model;
use kinora_quant::{Tensor, file};
use sha2::{Digest, Sha256};

/// Most encodings that are kept; the oldest go first. One takes 16 KiB a token at most.
const MOST: usize = 256;

/// Encodings on the disk, each under a hash of all that its numbers depend on.
pub(super) struct TextCache {
    folder: PathBuf,
    /// What encodes: version, device, precision, tier of kernels, model files.
    encoder: String,
}

impl TextCache {
    /// Encodings of `executor` with the model of these fingerprints, kept in `folder`.
    pub(super) fn new(folder: PathBuf, executor: &dyn Executor, fingerprints: &[String]) -> Self {
        let tier = std::env::var(kinora_runtime::TIER_VARIABLE).unwrap_or_default();
        let encoder = [env!("CARGO_PKG_VERSION"), &executor.describe(), &tier]
            .into_iter()
            .chain(fingerprints.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join("\n");
        Self { folder, encoder }
    }

    /// [`encode_text`] of those prompts that are not kept, and whether there were none.
    pub(super) fn encode(
        &self,
        model: &Model,
        executor: &mut dyn Executor,
        settings: &Settings,
        prompts: &[&str],
        listener: &mut dyn Listener,
    ) -> kinora_models::Result<(Vec<Embedding>, bool)> {
        let paths: Vec<_> = prompts.iter().map(|prompt| self.path(settings, prompt)).collect();
        let mut found: Vec<_> = paths.iter().map(|path| read(path, model)).collect();
        let absent: Vec<usize> = (0..prompts.len()).filter(|i| found[*i].is_none()).collect();
        if !absent.is_empty() {
            let texts: Vec<_> = absent.iter().map(|i| prompts[*i]).collect();
            let encoded = encode_text(model, executor, settings.preset, &texts, listener)?;
            for (index, embedding) in absent.iter().zip(encoded) {
                // One that fills all rows may have been cut, and that must be said each time.
                if embedding.tokens < model.text_rows
                    && let Err(error) = self.keep(&paths[*index], &embedding, model)
                {
                    tracing::warn!("an encoded prompt cannot be kept: {error}");
                }
                found[*index] = Some(embedding);
            }
        }
        Ok((found.into_iter().flatten().collect(), absent.is_empty()))
    }

    fn path(&self, settings: &Settings, prompt: &str) -> PathBuf {
        let text = format!("{}\n{}\n{prompt}", self.encoder, settings.preset);
        let hash = Sha256::digest(text.as_bytes());
        let name: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{name}.safetensors"))
    }

    fn keep(&self, path: &PathBuf, embedding: &Embedding, model: &Model) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let width = model.text_config.d_model;
        let rows = Tensor::from_f32(&[embedding.tokens, width], &embedding.rows[..embedding.tokens * width]);
        file::save(path, &BTreeMap::from([(ROWS.to_owned(), rows)]), &BTreeMap::new())?;
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            kept.push((entry.metadata()?.modified()?, entry.path()));
        }
        kept.sort();
        for (_, path) in kept.iter().rev().skip(MOST) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// The tensor: `[tokens, text_dim]`.
const ROWS: &str = "rows";

/// What is kept at `path`; nothing where it is not this model's, or damaged.
fn read(path: &PathBuf, model: &Model) -> Option<Embedding> {
    let weights = file::open(path).ok()?;
    let tensor = weights.tensor(ROWS).ok()?;
    let &[tokens, width] = tensor.info.shape.as_slice() else {
        return None;
    };
    let mut rows = tensor.to_f32().ok()?;
    let usable = (1..model.text_rows).contains(&tokens)
        && width == model.text_config.d_model
        && rows.iter().all(|v| v.is_finite());
    usable.then(|| {
        rows.resize(model.text_rows * width, 0.0);
        Embedding { rows, tokens }
    })
}
