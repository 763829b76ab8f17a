//! Whole-system tests of Kinora, and what they share: manifests of the real models' tensors.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use kinora_quant::synth::RuleWeights;

pub mod small_5b;

/// One tensor of a real checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name in the manifest's naming.
    pub name: String,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// `tied` for a second name of another tensor, `data` for what is no weight.
    pub note: Option<String>,
}

/// Folder of this crate.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The tensors of `variant` in `naming` (`diffusers`, `original`, `comfy`), in the order of the reference's class.
///
/// # Panics
/// Where the manifest is missing or damaged: the tests' own data.
pub fn manifest(variant: &str, naming: &str) -> Vec<Entry> {
    let path = root()
        .join("../models/manifests")
        .join(format!("{variant}.{naming}.txt.gz"));
    let mut text = String::new();
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| entry(line, &path))
        .collect()
}

fn entry(line: &str, path: &Path) -> Entry {
    let mut columns = line.split('\t');
    let (Some(name), Some(shape)) = (columns.next(), columns.next()) else {
        panic!("{}: `{line}` is no line of a manifest", path.display());
    };
    let shape = shape
        .split(',')
        .filter(|d| !d.is_empty())
        .map(|d| d.parse().expect("a dimension"))
        .collect();
    Entry {
        name: name.to_owned(),
        shape,
        note: columns.next().map(str::to_owned),
    }
}

/// Weights of these shapes, made when they are asked for, of a size that keeps activations near 1: matrices have
/// variance 1 / fan-in, norms lie around 1, biases and tables around 0.
pub fn generated(entries: &[Entry], seed: u64) -> RuleWeights {
    let tensors = entries.iter().map(|entry| {
        let fan_in: usize = entry.shape.iter().skip(1).product();
        let norm = entry.name.contains("norm") && entry.name.ends_with("weight") || entry.name.ends_with("gamma");
        let (mean, amp) = match (norm, entry.shape.len()) {
            (true, _) => (1.0, 0.1),
            (false, 0 | 1) => (0.0, 0.02),
            // A uniform distribution of half-width a has variance a² / 3.
            (false, _) => (0.0, (3.0 / fan_in as f64).sqrt()),
        };
        (entry.name.clone(), entry.shape.clone(), mean, amp)
    });
    RuleWeights::new(tensors, seed)
}
