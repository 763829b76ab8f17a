//! Options of `kinora render`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kinora_graph::Scores;
use kinora_media::Codec;
use kinora_models::lora::LoraSpec;
use kinora_models::sampler::{Preset, SamplerKind};
use kinora_models::wan::Variant;
use serde::{Deserialize, Serialize};

/// Arguments of `kinora render`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Without --model the tiny model inside the binary renders: coloured shapes that move, e.g.
  kinora render \"a red circle moves right on a blue background\" -o clip.mp4

With models on disk:
  kinora render \"a cat\" -o cat.mp4 --model wan2.2-ti2v-5b:q4_k
  kinora render \"a cat\" -o cat.mp4 --model Wan2.2-TI2V-5B-Diffusers
  kinora render \"a cat\" -o cat.mp4 --model wan2.2_t2v_high_noise_14B_fp16.safetensors \\
      --model wan2.2_t2v_low_noise_14B_fp16.safetensors --model wan_2.1_vae.safetensors \\
      --model umt5_xxl_fp16.safetensors
  kinora render \"it wakes\" -o wakes.webm --model Wan2.2-I2V-A14B-Diffusers --image sleeping.png

LoRAs, in any naming; the second line is the usual pair for four steps without guidance:
  kinora render \"a cat\" -o cat.mp4 --model Wan2.2-TI2V-5B-Diffusers --lora style.safetensors:0.8
  kinora render \"a cat\" -o cat.mp4 --model Wan2.2-T2V-A14B-Diffusers --steps 4 \\
      --lora wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors \\
      --lora wan2.2_t2v_lightx2v_4steps_lora_v1.1_low_noise.safetensors

Again, with another seed or from where it stopped:
  kinora render --like cat.mp4 --seed 8 -o cat8.mp4
  kinora render --resume cat.mp4.checkpoint.safetensors

The extension chooses the format: .mp4 .webm .mkv (AV1), .webp, .gif, .png and .exr sequences (clip/ or
clip_%05d.png); with ffmpeg on the PATH --codec h264|h265|prores.")]
pub struct RenderArgs {
    /// What to show
    #[arg(required_unless_present_any = ["resume", "from_latents", "like"])]
    pub prompt: Option<String>,
    /// The file to write; its extension chooses the format
    #[arg(short, long, value_name = "FILE", required_unless_present = "resume")]
    pub output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,

    /// Files and folders of the model
    #[command(flatten)]
    pub model: ModelArgs,
    /// Settings of the clip
    #[command(flatten)]
    pub clip: ClipArgs,
    /// Settings of the file
    #[command(flatten)]
    pub file: FileArgs,

    /// Take prompt, seed and settings from a clip that Kinora rendered; other options change them
    #[arg(long, value_name = "CLIP", help_heading = "Again")]
    pub like: Option<PathBuf>,
    /// Go on with a render that was stopped, with the same bits as if it had not been
    ///
    /// That is on the same device with the same options; with `--precision f16`, and without `--no-autotune`, as long as what
    /// was measured of the device is kept with the caches.
    #[arg(long, value_name = "FILE", help_heading = "Again", conflicts_with_all = ["like", "from_latents", "image", "prompt"])]
    pub resume: Option<PathBuf>,
    /// Write the finished latents as well, for --from-latents
    #[arg(long, value_name = "FILE", help_heading = "Again")]
    pub save_latents: Option<PathBuf>,
    /// Decode latents of --save-latents; nothing is sampled
    #[arg(long, value_name = "FILE", help_heading = "Again", conflicts_with_all = ["like", "image", "prompt"])]
    pub from_latents: Option<PathBuf>,
    /// Where to keep the run's state [default: OUTPUT.checkpoint.safetensors]
    #[arg(long, value_name = "FILE", help_heading = "Again")]
    pub checkpoint: Option<PathBuf>,
    /// Steps between two writes of the state; 0 writes it at Ctrl-C only
    #[arg(long, value_name = "STEPS", help_heading = "Again", default_value_t = 5)]
    pub checkpoint_every: usize,

    /// Print how long each kind of operation took
    #[arg(long)]
    pub profile: bool,
}

/// Which model.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// A diffusers folder, the model's files (repeat it, or list several), or a name that `kinora models` lists
    #[arg(short, long, value_name = "PATH|NAME[:TYPE]", num_args = 1.., env = "KINORA_MODEL")]
    pub model: Vec<PathBuf>,
    /// The high-noise expert, where the file's name does not say it
    #[arg(long, value_name = "FILE")]
    pub high: Option<PathBuf>,
    /// The low-noise expert, where the file's name does not say it
    #[arg(long, value_name = "FILE")]
    pub low: Option<PathBuf>,
    /// The autoencoder
    #[arg(long, value_name = "FILE")]
    pub vae: Option<PathBuf>,
    /// The text encoder
    #[arg(long, value_name = "FILE")]
    pub text_encoder: Option<PathBuf>,
    /// tokenizer.json or spiece.model, where it is not inside or beside the text encoder
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Which model it is, where the tensors cannot tell (wan2.1-t2v-14b, …)
    #[arg(long, value_name = "NAME")]
    pub variant: Option<Variant>,
    /// A LoRA, with its strength and, of two experts, the one that it is for (repeat it for several)
    #[arg(long, value_name = "FILE[:STRENGTH][@high|@low]")]
    #[serde(default)]
    pub lora: Vec<LoraSpec>,
}

impl ModelArgs {
    /// The model of `stored`, with these LoRAs where there are any.
    pub(super) fn loras_over(&self, stored: &Self) -> Self {
        let mut model = stored.clone();
        if !self.lora.is_empty() {
            model.lora.clone_from(&self.lora);
        }
        model
    }
}

/// What the clip shall be; the model's defaults where not given.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Clip")]
pub struct ClipArgs {
    /// What to steer away from
    #[arg(short, long, value_name = "PROMPT")]
    pub negative: Option<String>,
    /// A picture to start from (image-to-video models); it is cut to the clip's shape
    #[arg(short, long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Width and height in pixels
    #[arg(short, long, value_name = "WxH", value_parser = parse_size)]
    pub size: Option<(usize, usize)>,
    /// Frames, 4n + 1
    #[arg(short, long)]
    pub frames: Option<usize>,
    /// Frames per second
    #[arg(long)]
    pub fps: Option<f64>,
    /// Sampling steps
    #[arg(long)]
    pub steps: Option<usize>,
    /// Guidance; two numbers for the high-noise and the low-noise expert; 1 is none and twice as fast
    #[arg(short, long, value_name = "G[,G]", value_delimiter = ',', num_args = 1..=2)]
    pub guidance: Vec<f64>,
    /// Timestep shift
    #[arg(long)]
    pub shift: Option<f64>,
    /// unipc, unipc3, euler or dpm++
    #[arg(long)]
    pub sampler: Option<SamplerKind>,
    /// Whose sigma grid, timestep rounding and defaults to follow: official, diffusers or comfy
    #[arg(long)]
    pub preset: Option<Preset>,
    /// Skip steps in which little would change, by EasyCache's rule with this threshold (0.05 where none is given): faster, another clip
    ///
    /// The first seven steps, the last one and each expert's first are always computed.
    #[arg(long, value_name = "THRESHOLD", num_args = 0..=1, default_missing_value = "0.05")]
    pub step_cache: Option<f64>,
    /// Scores of self-attention: sums of products of numbers (float) or of signed bytes (int8), which is another clip
    ///
    /// int8 quantises queries and keys, less the mean of all keys, as SageAttention does. A pass through a transformer of two
    /// blocks is then off by 1e-3 to 2e-3 of its largest number (cosine 0.999999), the demo's pictures by 7e-3 as a root
    /// mean square. Meant for GPUs that multiply four bytes at once and have no matrix units; drivers on the processor become
    /// slower. `kinora bench attention` says what it brings and what it costs on yours.
    #[arg(long, value_name = "float|int8")]
    pub attention: Option<Scores>,
    /// Seed of the noise, as in PyTorch on the CPU; random and printed where not given
    #[arg(long)]
    pub seed: Option<u64>,
}

/// How it is written.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
#[command(next_help_heading = "File")]
pub struct FileArgs {
    /// Compression of a video: av1 by ourselves, the others through ffmpeg
    #[arg(long, value_enum)]
    pub codec: Option<CodecArg>,
    /// 0 (small) to 100 (faithful)
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub quality: u8,
    /// Bits of a sample: 8 or 16 for PNG, 16 or 32 for OpenEXR
    #[arg(long)]
    pub bits: Option<u8>,
}

/// [`Codec`] as an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecArg {
    /// AV1
    Av1,
    /// H.264
    H264,
    /// H.265
    H265,
    /// ProRes 422
    Prores,
}

impl From<CodecArg> for Codec {
    fn from(arg: CodecArg) -> Self {
        match arg {
            CodecArg::Av1 => Self::Av1,
            CodecArg::H264 => Self::H264,
            CodecArg::H265 => Self::H265,
            CodecArg::Prores => Self::ProRes,
        }
    }
}

fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let parsed = text
        .split_once(['x', 'X', '*'])
        .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    parsed.ok_or_else(|| format!("`{text}` is not a size; write it like 832x480"))
}
