//! Opens a model: a diffusers folder, or single files in any naming.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinora_quant::{Weights, file};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::lora;
use crate::sampler::Preset;
use crate::text::tokenizer::Tokenizer;
use crate::text::umt5::Umt5Config;
use crate::wan::names::{self, Part};
use crate::wan::variant::{Conditioning, Defaults, NEGATIVE_PROMPT, Variant};
use crate::wan::{TransformerConfig, VaeConfig};
use crate::{Error, Result};

/// Largest JSON configuration that is read.
const MAX_JSON: u64 = 16 << 20;

/// Rows of text in the official models.
const TEXT_ROWS: usize = 512;

/// What the user gave.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Folders and files of unknown part.
    pub paths: Vec<PathBuf>,
    /// The high-noise expert.
    pub high: Option<PathBuf>,
    /// The low-noise expert.
    pub low: Option<PathBuf>,
    /// The autoencoder.
    pub vae: Option<PathBuf>,
    /// The text encoder.
    pub text_encoder: Option<PathBuf>,
    /// `tokenizer.json`, `spiece.model` or a folder that holds one.
    pub tokenizer: Option<PathBuf>,
    /// Which model it is, where the tensors cannot tell.
    pub variant: Option<Variant>,
}

/// One diffusion transformer.
#[derive(Clone)]
pub struct Expert {
    /// Its shape.
    pub config: TransformerConfig,
    /// Its tensors in canonical names.
    pub weights: Arc<dyn Weights>,
}

/// A model with everything that a render needs. Weights are mapped, not read.
pub struct Model {
    /// The official model that it is, where it is one.
    pub variant: Option<Variant>,
    /// The only transformer, or the high-noise expert.
    pub high: Expert,
    /// The low-noise expert.
    pub low: Option<Expert>,
    /// Share of the timesteps from which the high-noise expert works.
    pub boundary: Option<f64>,
    /// How a picture enters.
    pub conditioning: Conditioning,
    /// Shape of the autoencoder.
    pub vae_config: VaeConfig,
    /// The autoencoder's tensors.
    pub vae: Arc<dyn Weights>,
    /// Shape of the text encoder.
    pub text_config: Umt5Config,
    /// The text encoder's tensors.
    pub text_encoder: Arc<dyn Weights>,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Rows of text that the transformer sees, zeros past the prompt.
    pub text_rows: usize,
    /// Defaults that came with the model, where it is not an official one.
    pub own_defaults: Option<Defaults>,
    /// What it calls itself, where it is not an official model.
    pub title: Option<String>,
    /// Where it was found, for messages.
    pub origin: String,
    /// Files, or folders of one part, of the weights: a clip's metadata identifies them.
    pub files: Vec<PathBuf>,
}

/// Timesteps count from 0 to this.
const TRAIN_STEPS: f64 = 1000.0;

impl Model {
    /// Opens what `source` names.
    pub fn open(source: &Source) -> Result<Self> {
        match source.paths.as_slice() {
            [folder] if folder.join("model_index.json").is_file() => Self::open_folder(folder),
            _ => Self::open_files(source),
        }
    }

    /// Whether the low-noise expert works at `timestep`.
    pub fn is_low(&self, timestep: f32) -> bool {
        self.boundary.is_some_and(|b| f64::from(timestep) < b * TRAIN_STEPS)
    }

    /// The expert for high or low noise; the only one where there is one.
    pub fn expert(&self, low: bool) -> &Expert {
        match (&self.low, low) {
            (Some(expert), true) => expert,
            _ => &self.high,
        }
    }

    /// Whose schedule and rounding to follow when nothing is said: the official repository's for official
    /// models, diffusers' for others (whose folders are diffusers' own).
    pub fn default_preset(&self) -> Preset {
        if self.variant.is_some() {
            Preset::Official
        } else {
            Preset::Diffusers
        }
    }

    /// Settings that the user did not give.
    pub fn defaults(&self, preset: Preset) -> Defaults {
        match (&self.own_defaults, self.variant) {
            (Some(own), _) => own.clone(),
            (None, Some(variant)) => variant.defaults(preset),
            (None, None) => Variant::Wan21T2v1_3b.defaults(preset),
        }
    }

    /// What it is, in words.
    pub fn name(&self) -> String {
        match self.variant {
            Some(variant) => variant.name().to_owned(),
            None => self.title.clone().unwrap_or_else(|| self.origin.clone()),
        }
    }

    /// Pixels of a side must be a multiple of this.
    pub fn size_multiple(&self) -> usize {
        self.vae_config.spatial_factor() * self.high.config.patch_size[1].max(self.high.config.patch_size[2])
    }

    fn open_folder(folder: &Path) -> Result<Self> {
        let index: ModelIndex = read_json(&folder.join("model_index.json"))?;
        if !index.class.starts_with("Wan") {
            return Err(Error::Config {
                origin: folder.join("model_index.json").display().to_string(),
                why: format!("a `{}` is not supported; the Wan family is", index.class),
            });
        }
        let expert = |name: &str| -> Result<Expert> {
            Ok(Expert {
                config: read_json(&folder.join(name).join("config.json"))?,
                weights: open_part(&folder.join(name), Part::Transformer)?,
            })
        };
        let high = expert("transformer")?;
        let low = folder
            .join("transformer_2")
            .is_dir()
            .then(|| expert("transformer_2"))
            .transpose()?;
        let vae_config: VaeConfig = read_json(&folder.join("vae/config.json"))?;
        let text_config: Umt5Config = read_json(&folder.join("text_encoder/config.json"))?;
        let conditioning = match (
            index.expand_timesteps,
            high.config.in_channels > high.config.out_channels,
        ) {
            (true, _) => Conditioning::FirstFrame,
            (false, true) => Conditioning::Channels,
            (false, false) => Conditioning::Text,
        };
        let own = folder.join("kinora.json");
        let own: Option<OwnDefaults> = if own.is_file() { Some(read_json(&own)?) } else { None };
        let candidates = Variant::candidates(&high.config);
        let variant = candidates.into_iter().find(|v| v.boundary().is_some() == low.is_some());
        let scheduler = folder.join("scheduler/scheduler_config.json");
        let shift = if scheduler.is_file() {
            read_json::<SchedulerConfig>(&scheduler)?.flow_shift
        } else {
            None
        };
        let text_rows = own.as_ref().and_then(|o| o.text_length).unwrap_or(TEXT_ROWS);
        let title = own.as_ref().and_then(|o| o.name.clone());
        let own_defaults = match (own, variant) {
            (Some(own), _) => Some(own.defaults()),
            (None, Some(_)) => None,
            (None, None) => Some(Defaults {
                shift: shift.unwrap_or(5.0),
                ..Variant::Wan21T2v1_3b.defaults(Preset::Diffusers)
            }),
        };
        let model = Self {
            variant,
            high,
            low,
            boundary: index.boundary_ratio,
            conditioning,
            vae: open_part(&folder.join("vae"), Part::Vae)?,
            vae_config,
            text_encoder: open_part(&folder.join("text_encoder"), Part::TextEncoder)?,
            text_config,
            tokenizer: Tokenizer::from_file(folder.join("tokenizer"))?,
            text_rows,
            own_defaults,
            title,
            origin: folder.display().to_string(),
            files: ["transformer", "transformer_2", "vae", "text_encoder"]
                .map(|part| folder.join(part))
                .into_iter()
                .filter(|part| part.is_dir())
                .collect(),
        };
        model.check()?;
        Ok(model)
    }

    fn open_files(source: &Source) -> Result<Self> {
        let mut found = Found {
            high: source.high.clone(),
            low: source.low.clone(),
            ..Found::default()
        };
        let named = [(&source.vae, Part::Vae), (&source.text_encoder, Part::TextEncoder)];
        for (path, part) in named {
            if let Some(path) = path {
                found.put(part, path)?;
            }
        }
        for path in &source.paths {
            let weights = file::open(path)?;
            let part = names::detect(&*weights).ok_or_else(|| Error::Config {
                origin: path.display().to_string(),
                why: match lora::kind(&*weights) {
                    Some(_) => "this is a LoRA; give it with --lora FILE beside the model".into(),
                    None => "this is no part of a Wan model (transformer, autoencoder or text encoder); `kinora inspect` lists what it holds".into(),
                },
            })?;
            found.put(part, path)?;
        }
        found.into_model(source)
    }

    /// The parts must fit together.
    fn check(&self) -> Result<()> {
        let origin = &self.origin;
        let wrong = |why: String| {
            Err(Error::Config {
                origin: origin.clone(),
                why,
            })
        };
        let experts = [Some(&self.high), self.low.as_ref()].into_iter().flatten();
        let shapes = experts.map(|expert| expert.config.check());
        if let Some(why) = shapes
            .chain([self.vae_config.check(), self.text_config.check()])
            .find_map(Result::err)
        {
            return wrong(why);
        }
        for expert in [Some(&self.high), self.low.as_ref()].into_iter().flatten() {
            if expert.config.text_dim != self.text_config.d_model {
                return wrong(format!(
                    "the transformer takes text rows of width {}, the text encoder gives {}; one of the files belongs to another model",
                    expert.config.text_dim, self.text_config.d_model
                ));
            }
            if expert.config.out_channels != self.vae_config.z_dim {
                return wrong(format!(
                    "the transformer makes latents of {} channels, the autoencoder takes {}; A14B and Wan 2.1 models need the Wan 2.1 VAE, TI2V-5B the Wan 2.2 VAE",
                    expert.config.out_channels, self.vae_config.z_dim
                ));
            }
        }
        if self.high.config.image_dim.is_some() {
            return wrong(
                "this transformer takes CLIP image tokens, and the CLIP image encoder is not there yet; \
                 Wan 2.2's I2V-A14B and TI2V-5B start from a picture without it"
                    .into(),
            );
        }
        if self.boundary.is_some() != self.low.is_some() {
            return wrong("two experts need a boundary_ratio, a single transformer has none".into());
        }
        Ok(())
    }
}

/// Files sorted by part.
#[derive(Default)]
struct Found {
    high: Option<PathBuf>,
    low: Option<PathBuf>,
    transformers: Vec<PathBuf>,
    vae: Option<PathBuf>,
    text_encoder: Option<PathBuf>,
}

impl Found {
    fn put(&mut self, part: Part, path: &Path) -> Result<()> {
        let slot = match part {
            Part::Transformer => {
                self.transformers.push(path.to_owned());
                return Ok(());
            }
            Part::Vae => &mut self.vae,
            Part::TextEncoder => &mut self.text_encoder,
        };
        match slot.replace(path.to_owned()) {
            None => Ok(()),
            Some(other) => Err(Error::Config {
                origin: path.display().to_string(),
                why: format!("a second {part} beside {}; give one", other.display()),
            }),
        }
    }

    /// Gives the transformers their places: by `--high` and `--low`, else by the usual words in the file names.
    fn place_experts(&mut self) -> Result<()> {
        for path in std::mem::take(&mut self.transformers) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            let slot = match (name.contains("high"), name.contains("low")) {
                (true, false) => &mut self.high,
                (false, true) => &mut self.low,
                _ if self.high.is_none() && self.low.is_none() => &mut self.high,
                _ => {
                    return Err(Error::Config {
                        origin: path.display().to_string(),
                        why: "which of two experts it is cannot be told from its tensors; name them with --high FILE and --low FILE".into(),
                    });
                }
            };
            if let Some(other) = slot.replace(path.clone()) {
                return Err(Error::Config {
                    origin: path.display().to_string(),
                    why: format!(
                        "and {} both look like the same expert; name them with --high FILE and --low FILE",
                        other.display()
                    ),
                });
            }
        }
        Ok(())
    }

    fn into_model(mut self, source: &Source) -> Result<Model> {
        self.place_experts()?;
        let need = |path: &Option<PathBuf>, what: &'static str, option: &str| {
            path.clone().ok_or_else(|| Error::Setting {
                setting: "--model",
                why: format!("no {what} among the files given; add it to --model or name it with {option} FILE"),
            })
        };
        let high_path = need(&self.high.clone().or_else(|| self.low.clone()), "transformer", "--high")?;
        let expert = |path: &Path| -> Result<Expert> {
            let weights = open_part(path, Part::Transformer)?;
            Ok(Expert {
                config: TransformerConfig::detect(&*weights)?,
                weights,
            })
        };
        let high = expert(&high_path)?;
        let variant = match source.variant {
            Some(variant) => variant,
            None => {
                let two = self.high.is_some() && self.low.is_some();
                let all = Variant::candidates(&high.config);
                let fitting: Vec<Variant> = all.iter().copied().filter(|v| v.boundary().is_some() == two).collect();
                match (fitting.as_slice(), all.as_slice()) {
                    ([variant], [_]) => *variant,
                    // Two experts can only be Wan 2.2; one such file may be Wan 2.1 or half of Wan 2.2.
                    ([variant], _) if two => *variant,
                    _ => {
                        let names: Vec<&str> = all.iter().map(|v| v.name()).collect();
                        let why = if all.is_empty() {
                            "no known variant has a transformer of this shape; use a diffusers folder with its config.json files".into()
                        } else {
                            format!(
                                "the tensors fit {}; give both experts with --high FILE and --low FILE, or say --variant NAME",
                                names.join(" and ")
                            )
                        };
                        return Err(Error::Config {
                            origin: high_path.display().to_string(),
                            why,
                        });
                    }
                }
            }
        };
        let low = match (variant.boundary(), &self.low) {
            (Some(_), Some(low)) if self.high.is_some() => Some(expert(low)?),
            (Some(_), _) => {
                return Err(Error::Config {
                    origin: high_path.display().to_string(),
                    why: format!(
                        "{variant} has two experts and one is given; name both with --high FILE and --low FILE"
                    ),
                });
            }
            (None, _) => None,
        };
        let vae_path = need(&self.vae, "autoencoder", "--vae")?;
        let text_path = need(&self.text_encoder, "text encoder", "--text-encoder")?;
        let vae = open_part(&vae_path, Part::Vae)?;
        let text_encoder = open_part(&text_path, Part::TextEncoder)?;
        let tokenizer = open_tokenizer(source.tokenizer.as_deref(), &text_path, &*text_encoder)?;
        let mut files = vec![high_path];
        files.extend(self.low.filter(|_| low.is_some()));
        files.extend([vae_path, text_path]);
        let model = Model {
            variant: Some(variant),
            high,
            low,
            boundary: variant.boundary(),
            conditioning: variant.conditioning(),
            vae_config: VaeConfig::detect(&*vae)?,
            vae,
            text_config: Umt5Config::detect(&*text_encoder)?,
            text_encoder,
            tokenizer,
            text_rows: TEXT_ROWS,
            own_defaults: None,
            title: None,
            origin: files[0].display().to_string(),
            files,
        };
        model.check()?;
        Ok(model)
    }
}

/// The tensors of one part under canonical names.
pub fn open_part(path: &Path, part: Part) -> Result<Arc<dyn Weights>> {
    let stored = file::open(path)?;
    Ok(Arc::new(file::Renamed::by_rule(stored, |name| {
        Some(names::canonical(part, name))
    })?))
}

/// The tokenizer given, or the one inside the text encoder's file, or one lying beside it.
fn open_tokenizer(given: Option<&Path>, text_path: &Path, text_encoder: &dyn Weights) -> Result<Tokenizer> {
    if let Some(path) = given {
        return Ok(Tokenizer::from_file(path)?);
    }
    if text_encoder.info("spiece_model").is_some() {
        let data = text_encoder.tensor("spiece_model")?;
        return Ok(Tokenizer::from_spiece_bytes(&data.data)?);
    }
    let folder = text_path.parent().unwrap_or(Path::new("."));
    let beside = ["", "tokenizer", "google/umt5-xxl", "../tokenizer"].map(|sub| folder.join(sub));
    match beside
        .iter()
        .find(|f| f.join("tokenizer.json").is_file() || f.join("spiece.model").is_file())
    {
        Some(found) => Ok(Tokenizer::from_file(found)?),
        None => Err(Error::Setting {
            setting: "--tokenizer",
            why: format!(
                "{} holds no tokenizer and none lies beside it; name umT5's tokenizer.json or spiece.model",
                text_path.display()
            ),
        }),
    }
}

/// What matters in `model_index.json`.
#[derive(Deserialize)]
struct ModelIndex {
    #[serde(rename = "_class_name")]
    class: String,
    #[serde(default)]
    boundary_ratio: Option<f64>,
    #[serde(default)]
    expand_timesteps: bool,
}

/// What matters in `scheduler_config.json`.
#[derive(Deserialize)]
struct SchedulerConfig {
    flow_shift: Option<f64>,
}

/// `kinora.json`: defaults of a model that is not an official one.
#[derive(Deserialize)]
struct OwnDefaults {
    name: Option<String>,
    steps: usize,
    shift: f64,
    guidance: f64,
    guidance_2: Option<f64>,
    width: usize,
    height: usize,
    frames: usize,
    fps: f64,
    text_length: Option<usize>,
    negative_prompt: Option<String>,
}

impl OwnDefaults {
    fn defaults(self) -> Defaults {
        Defaults {
            steps: self.steps,
            shift: self.shift,
            guidance: [self.guidance, self.guidance_2.unwrap_or(self.guidance)],
            width: self.width,
            height: self.height,
            frames: self.frames,
            fps: self.fps,
            negative_prompt: self.negative_prompt.unwrap_or_else(|| NEGATIVE_PROMPT.into()),
        }
    }
}

/// Reads a small JSON file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let size = std::fs::metadata(path).map_err(Error::io(path))?.len();
    let wrong = |why: String| Error::Config {
        origin: path.display().to_string(),
        why,
    };
    if size > MAX_JSON {
        return Err(wrong(format!("{size} bytes are too many for a configuration")));
    }
    let text = std::fs::read(path).map_err(Error::io(path))?;
    serde_json::from_slice(&text).map_err(|e| wrong(format!("not the JSON that belongs here: {e}")))
}
