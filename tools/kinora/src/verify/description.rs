//! `case.json`: what a case is.

use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::Value;

/// The version of the format that is read.
const FORMAT: u64 = 1;

/// A `case.json`. Its fields are those of the format that `tools/reference` writes.
#[derive(Clone, Debug, Deserialize)]
pub struct Description {
    format: u64,
    /// Name of the model family.
    pub model: String,
    /// `transformer`, `vae_encoder`, `vae_decoder`, `text_encoder`, `sampler` or `pipeline`.
    pub module: String,
    /// Class in diffusers or transformers.
    pub class: String,
    /// Arguments of that class.
    #[serde(default)]
    pub config: Value,
    /// Naming of the weights: `diffusers` or `wan-original`.
    #[serde(default = "diffusers")]
    pub layout: String,
    /// Weights, relative to the case's folder.
    #[serde(default)]
    pub weights: Option<String>,
    /// Scalars of the call.
    #[serde(default)]
    pub args: Value,
    /// How far from the reference an output may be.
    pub tolerance: Tolerance,
    /// Of quantised weights: how they are packed.
    #[serde(default)]
    pub quantization: Option<Value>,
    #[serde(default)]
    compare_valid_rows: Option<usize>,
}

fn diffusers() -> String {
    "diffusers".to_owned()
}

/// How far from the reference an output may be.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, serde::Serialize)]
pub struct Tolerance {
    /// Least cosine between the flattened tensors.
    pub cosine: f64,
    /// Largest max|a - b| / max|expected|.
    pub max_rel: f64,
}

impl Description {
    /// Reads and checks the bytes of a `case.json`.
    ///
    /// # Errors
    /// In words, which rule of the format is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let case: Self = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if case.format != FORMAT {
            return Err(format!("its format is {}; format {FORMAT} is read here", case.format));
        }
        let Tolerance { cosine, max_rel } = case.tolerance;
        // A tolerance that nothing can miss would verify nothing.
        if !(cosine > 0.0 && cosine <= 1.0 && max_rel > 0.0 && max_rel < 1.0) {
            return Err(format!(
                "its tolerance (cosine {cosine}, max_rel {max_rel}) is none: both lie between 0 and 1"
            ));
        }
        if let Some(weights) = &case.weights {
            let path = Path::new(weights);
            let inside = path
                .components()
                .all(|c| matches!(c, Component::Normal(_) | Component::CurDir | Component::ParentDir));
            if weights.is_empty() || !inside {
                return Err(format!(
                    "`weights` is {weights:?}; it must be a path relative to the case's folder"
                ));
            }
        }
        Ok(case)
    }

    /// The number `args.name`, if it is there.
    pub fn count(&self, name: &str) -> Option<usize> {
        self.args.get(name)?.as_u64()?.try_into().ok()
    }

    /// How many rows of `[B, rows, C]` outputs are compared, if not all: the others are padding.
    pub fn valid_rows(&self) -> Option<usize> {
        self.compare_valid_rows.or_else(|| self.count("compare_valid_rows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"format": 1, "model": "wan", "module": "sampler", "class": "UniPC", "weights": "../a/model.safetensors",
        "config": {"order": [1, 2]}, "args": {"steps": 3, "compare_valid_rows": 2}, "tolerance": {"cosine": 0.9999, "max_rel": 0.0002}}"#;

    #[test]
    fn a_case_is_read_and_a_senseless_one_is_refused() {
        let case = Description::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(
            (case.layout.as_str(), case.valid_rows(), case.count("steps")),
            ("diffusers", Some(2), Some(3))
        );
        for (from, to, why) in [
            ("\"format\": 1", "\"format\": 2", "format"),
            ("0.0002", "2e9", "tolerance"),
            ("0.9999", "-1", "tolerance"),
            ("../a/model.safetensors", "/etc/passwd", "relative"),
            ("../a/model.safetensors", "", "relative"),
            ("\"class\": \"UniPC\",", "", "class"),
        ] {
            let error = Description::parse(GOOD.replace(from, to).as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn no_mutation_panics() {
        let seed = GOOD.as_bytes();
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below.max(1)
        };
        for _ in 0..20_000 {
            let mut bytes = seed.to_vec();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                if bytes.is_empty() {
                    break;
                }
                match random(4) {
                    0 => bytes[at] = random(256) as u8,
                    1 if bytes.len() > 1 => drop(bytes.remove(at)),
                    2 => bytes.truncate(at),
                    _ => {
                        let end = (at + random(40)).min(bytes.len());
                        let piece = bytes[at..end].to_vec();
                        let to = random(bytes.len());
                        bytes.splice(to..to, piece);
                    }
                }
            }
            if let Ok(case) = Description::parse(&bytes) {
                let _ = (case.valid_rows(), case.count("steps"));
            }
        }
        let nest = "[".repeat(1_000_000);
        assert!(Description::parse(nest.as_bytes()).is_err());
    }
}
