//! A LoRA as a person names it: `FILE[:strength][@high|@low]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One of a model's two transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpertName {
    /// The high-noise expert.
    High,
    /// The low-noise expert.
    Low,
}

impl fmt::Display for ExpertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::High => "high",
            Self::Low => "low",
        })
    }
}

/// A LoRA to apply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraSpec {
    /// Its file.
    pub path: PathBuf,
    /// Factor of its changes; 1 is what it was trained for.
    pub strength: f32,
    /// The only expert that it is for, where that was said.
    pub expert: Option<ExpertName>,
}

impl LoraSpec {
    /// The expert that the file's name names, as the pairs for Wan 2.2 do.
    pub(super) fn expert_of_name(&self) -> Option<ExpertName> {
        let words = words(&self.path);
        let has = |word: &str| {
            let joined = format!("{word}noise");
            words.iter().any(|w| w == word || w.starts_with(&joined))
        };
        match (has("high"), has("low")) {
            (true, false) => Some(ExpertName::High),
            (false, true) => Some(ExpertName::Low),
            _ => None,
        }
    }

    /// Steps that a model takes with a LoRA that was distilled for few steps without guidance, as the name of the file
    /// tells; `None` for other LoRAs.
    pub fn distilled_steps(&self) -> Option<usize> {
        const MARKS: [&str; 5] = ["lightx2v", "lightning", "distill", "causvid", "accvid"];
        const USUAL: usize = 4;
        let words = words(&self.path);
        let steps = |word: &String| {
            let digits = word.trim_end_matches("steps").trim_end_matches("step");
            let steps = digits.parse().ok()?;
            (digits.len() < word.len() && (1..=8).contains(&steps)).then_some(steps)
        };
        let marked = || MARKS.iter().any(|mark| words.concat().contains(mark)).then_some(USUAL);
        words.iter().find_map(steps).or_else(marked)
    }
}

/// The words of a file's name in small letters: `Wan22_HighNoise-4steps` has three.
fn words(path: &Path) -> Vec<String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("there is one").extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

impl FromStr for LoraSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: String| Error::Setting { setting: "--lora", why };
        let (rest, expert) = match text.rsplit_once('@') {
            Some((rest, end)) if end.eq_ignore_ascii_case("high") => (rest, Some(ExpertName::High)),
            Some((rest, end)) if end.eq_ignore_ascii_case("low") => (rest, Some(ExpertName::Low)),
            _ => (text, None),
        };
        let (path, strength) = match rest.rsplit_once(':') {
            // A drive's letter is no file.
            Some((path, end)) if path.len() != 1 => match end.parse::<f32>() {
                Ok(strength) if strength.is_finite() => (path, strength),
                Ok(_) => return Err(wrong(format!("a strength of {end} is not finite"))),
                Err(_) if path.to_lowercase().ends_with(".safetensors") => {
                    return Err(wrong(format!(
                        "`{end}` behind {path} is no strength; write FILE:0.8, and FILE:0.8@high for one expert"
                    )));
                }
                Err(_) => (rest, 1.0),
            },
            _ => (rest, 1.0),
        };
        if path.is_empty() {
            return Err(wrong(format!(
                "`{text}` names no file; write FILE[:strength][@high|@low]"
            )));
        }
        Ok(Self {
            path: path.into(),
            strength,
            expert,
        })
    }
}

impl fmt::Display for LoraSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.strength)?;
        match self.expert {
            Some(expert) => write!(f, "@{expert}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec(path: &str, strength: f32, expert: Option<ExpertName>) -> LoraSpec {
        LoraSpec {
            path: path.into(),
            strength,
            expert,
        }
    }

    #[test]
    fn paths_strengths_and_experts() {
        use ExpertName::{High, Low};
        for (text, expected) in [
            ("a.safetensors", spec("a.safetensors", 1.0, None)),
            ("a.safetensors:0.5", spec("a.safetensors", 0.5, None)),
            ("a.safetensors:-1@low", spec("a.safetensors", -1.0, Some(Low))),
            ("a.safetensors@HIGH", spec("a.safetensors", 1.0, Some(High))),
            (r"C:\loras\a.safetensors", spec(r"C:\loras\a.safetensors", 1.0, None)),
            (
                r"C:\loras\a.safetensors:.25@high",
                spec(r"C:\loras\a.safetensors", 0.25, Some(High)),
            ),
            ("C:1", spec("C:1", 1.0, None)),
            ("me@home/a.safetensors", spec("me@home/a.safetensors", 1.0, None)),
            ("odd:name/a.safetensors:2", spec("odd:name/a.safetensors", 2.0, None)),
            ("odd:name/a", spec("odd:name/a", 1.0, None)),
        ] {
            assert_eq!(text.parse::<LoraSpec>().unwrap(), expected, "{text}");
        }
        for text in [
            "",
            ":1",
            "@high",
            "a.safetensors:strong",
            "a.safetensors:inf",
            "a.safetensors:NaN",
        ] {
            assert!(text.parse::<LoraSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_files_name_experts() {
        use ExpertName::{High, Low};
        for (name, expert, steps) in [
            (
                "wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors",
                Some(High),
                Some(4),
            ),
            (
                "wan2.2_i2v_lightx2v_4steps_lora_v1_low_noise.safetensors",
                Some(Low),
                Some(4),
            ),
            ("low_noise_model.safetensors", Some(Low), None),
            ("Wan22-MyStyle-HighNoise.safetensors", Some(High), None),
            ("WAN2.2-style_HIGH.safetensors", Some(High), None),
            ("slow_motion_flow.safetensors", None, None),
            ("highlander.safetensors", None, None),
            ("high_and_low.safetensors", None, None),
            (
                "lightx2v_T2V_14B_cfg_step_distill_v2_lora_rank64_bf16.safetensors",
                None,
                Some(4),
            ),
            ("10000_steps.safetensors", None, None),
            ("Lightning-8steps-lora.safetensors", None, Some(8)),
        ] {
            let spec = spec(name, 1.0, None);
            assert_eq!(
                (spec.expert_of_name(), spec.distilled_steps()),
                (expert, steps),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(
            path in "[a-zA-Z:@./\\\\ _-]{2,20}x",
            strength in -4f32..4.0,
            expert in proptest::option::of(proptest::sample::select(vec![ExpertName::High, ExpertName::Low])),
        ) {
            let spec = spec(&path, strength, expert);
            prop_assert_eq!(spec.to_string().parse::<LoraSpec>().unwrap(), spec);
        }
    }
}
