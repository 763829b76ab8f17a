//! The command line: options, exit statuses, errors.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kinora_graph::{Precision, Scores};
use kinora_models::wan::Variant;
use kinora_models::wan::files::Role;

use crate::convert::Target;
use crate::executor::DeviceChoice;
use crate::memory::MemoryArgs;
use crate::{commands, interrupt};

/// Renders AI video on any GPU.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_long_help = EXAMPLES)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  kinora devices                              what can compute here, and by which name to choose it
  kinora --device cpu verify CASE             on the processor, without a graphics driver
  kinora --device 1 verify CASE               on the second adapter of the list
  KINORA_DEVICE=radeon kinora verify CASE     on the adapter with `radeon` in its name
  kinora inspect model.safetensors            what a file is and what would run it

Exit status: 0 success, 1 failure, 2 misuse, 130 stopped by Ctrl-C.";

/// Options of all commands.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Where to compute: `cpu`, or an adapter's index or part of its name as `kinora devices` lists them
    ///
    /// By default a discrete GPU is preferred to an integrated one, and a driver that runs on the processor
    /// comes last.
    #[arg(
        long,
        global = true,
        env = "KINORA_DEVICE",
        value_name = "cpu|INDEX|NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub device: DeviceChoice,

    /// Arithmetic of matrix products, attention and convolutions; everything else is f32, sums always
    #[arg(long, global = true, value_enum, default_value_t)]
    pub precision: PrecisionArg,

    /// Budgets of memory.
    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Choose kernels by rules instead of by what was measured of this device, and measure nothing
    ///
    /// By default `render` and `bench` time, once for a device and its driver and for ten seconds at most, kernels that
    /// compute the same bits, and keep the result with the caches. (With `--precision f16` those of attention sum in orders
    /// of their own: a render goes on with the same bits as long as that result is kept.) KINORA_AUTOTUNE=1 does so for
    /// drivers that run on the processor too.
    #[arg(long, global = true)]
    pub no_autotune: bool,

    /// Print results as JSON for other programs
    // `kinora bench` takes a file here, so that both must be of one type.
    #[arg(long, global = true, num_args = 0, default_missing_value = "-")]
    json: Option<PathBuf>,

    /// Say more about what happens (twice: much more); the variable RUST_LOG chooses in detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// Whether results are printed as JSON.
    pub fn json(&self) -> bool {
        self.json.is_some()
    }
}

/// [`Precision`] as an option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    /// Operands as they are
    #[default]
    F32,
    /// Operands rounded to half precision
    F16,
}

impl From<PrecisionArg> for Precision {
    fn from(arg: PrecisionArg) -> Self {
        match arg {
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::F16 => Self::F16,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Render a clip from a prompt
    Render(Box<crate::render::RenderArgs>),
    /// Say what a render would take and whether it fits, without rendering
    Plan(Box<crate::render::PlanArgs>),
    /// List what can compute here
    Devices,
    /// Say what a file or folder is, what it holds and what would run it
    Inspect(InspectArgs),
    /// List the models, the files that each needs and where they are on this machine
    Models(ModelsArgs),
    /// Fetch what a model lacks, or one file, from the model hub
    Pull(PullArgs),
    /// Write a file of weights again in a smaller type, and say what that costs
    Quantize(QuantizeArgs),
    /// Write full-size files with made-up numbers, to measure with
    Synth(SynthArgs),
    /// Measure how fast the device is, held against its own limits
    Bench(crate::bench::BenchArgs),
    /// Run verification cases and compare with the reference implementation
    Verify(VerifyArgs),
}

/// Arguments of `kinora inspect`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kinora inspect wan2.2_t2v_high_noise_14B_fp16.safetensors
  kinora inspect Wan2.2-TI2V-5B-Diffusers/transformer
  kinora inspect clip.mp4                     the settings that a clip was rendered with")]
pub struct InspectArgs {
    /// A file of weights, a folder of a model, or a clip that Kinora rendered
    pub path: PathBuf,
}

/// Arguments of `kinora models`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Files are known by the names under which they are published (wan2.2_ti2v_5B_fp16.safetensors,
Wan2.2-TI2V-5B-Q4_K_M.gguf, umt5_xxl_fp8_e4m3fn_scaled.safetensors, wan2.2_vae.safetensors; Wan-AI's diffusers
folders). A file under another name works as well, by its path: kinora render --model FILE...

Where they are looked for:
  KINORA_MODELS       folders, separated as in PATH; searched first, and where `kinora pull` puts what it fetches
  COMFYUI_PATH        its models folder; else ~/ComfyUI/models
  the hub's cache     HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub

Examples:
  kinora models
  kinora models wan2.2-ti2v-5b
  kinora render \"a cat\" -o cat.mp4 --model wan2.2-ti2v-5b:q4_k")]
pub struct ModelsArgs {
    /// Only this one
    pub name: Option<Variant>,
}

/// Arguments of `kinora pull`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Fetches the files of NAME that `kinora models` does not find, in the type asked for (or the usual one), into the
first folder of KINORA_MODELS, laid out as ComfyUI's models folder. A download that was stopped or cut goes on where
it was; size and SHA-256 are checked, and a file has its name only when it is whole.

Environment:
  HF_ENDPOINT   another hub with the same layout of addresses [default: https://huggingface.co]
  HF_TOKEN      for private and gated repositories, or the token that the hub's own tools saved; it is sent to
                that hub alone

Examples:
  kinora pull wan2.2-ti2v-5b
  kinora pull wan2.2-t2v-a14b:q4_k_m --dry-run
  kinora pull Comfy-Org/Wan_2.2_ComfyUI_Repackaged/split_files/vae/wan2.2_vae.safetensors")]
pub struct PullArgs {
    /// A model with or without a type, or one file as `ORGANISATION/REPOSITORY[@REVISION]/PATH`
    #[arg(value_name = "NAME[:TYPE]|PATH")]
    pub name: String,
    /// Put the files below this folder instead
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<PathBuf>,
    /// Say what would be fetched, from where and to where
    #[arg(long)]
    pub dry_run: bool,
}

/// Types that weights can be written in, for help texts.
const TYPES: &str = "\
Types:
  .gguf                    q8_0 q6_k q5_k q5_1 q5_0 q4_k q4_1 q4_0 iq4_xs iq4_nl q3_k q2_k
  .safetensors             fp8 (e4m3, scaled) mxfp8 nvfp4 int8 int8-convrot, as ComfyUI's files have them
  .gguf or .safetensors    f16 bf16 f32";

/// Arguments of `kinora quantize`.
#[derive(Debug, Args)]
#[command(after_long_help = format!("\
The matrices of the blocks get the new type. Norms, biases, modulation, the embeddings of time, text and patches and
the head keep theirs (in .gguf, small tensors are F32, which other programs ask for); a matrix whose rows are no
whole blocks becomes F16 and is named. Printed are, for each tensor and for all together, the error relative to the
weights (root of mean squares) and the largest one.

{TYPES}

Examples:
  kinora quantize wan2.2_ti2v_5B_fp16.safetensors wan2.2_ti2v_5B_q4_k.gguf --type q4_k
  kinora quantize umt5_xxl_fp16.safetensors umt5_xxl_int8.safetensors --type int8"))]
pub struct QuantizeArgs {
    /// A file or folder of weights
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// Type of the matrices
    #[arg(short, long = "type", value_name = "TYPE")]
    pub target: Target,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// Take a file that is quantised already; what it lost stays lost
    #[arg(long)]
    pub requantize: bool,
}

/// Arguments of `kinora synth`.
#[derive(Debug, Args)]
#[command(after_long_help = format!("\
The files have the names and shapes of the real ones and sizes of numbers that keep a run finite; what they render is
noise. Below a folder they lie as in ComfyUI's models folder, where `kinora models` finds them.

A tokenizer cannot be made up: give `kinora render` a SentencePiece model or tokenizer.json of your own with
--tokenizer.

{TYPES}

Examples:
  kinora synth wan2.2-ti2v-5b --type q4_k -o models         and then, with KINORA_MODELS=models,
  kinora render x -o x.gif --model wan2.2-ti2v-5b:q4_k --tokenizer spiece.model
  kinora synth wan2.2-t2v-a14b --type fp8 --part high -o high.safetensors"))]
pub struct SynthArgs {
    /// The model
    #[arg(value_name = "VARIANT")]
    pub variant: Variant,
    /// Type of the matrices (the autoencoder is F16 if it cannot be had in this type)
    #[arg(short, long = "type", value_name = "TYPE")]
    pub target: Target,
    /// A folder for all parts, or the file of one (without --part: of the only transformer)
    #[arg(short, long, value_name = "FOLDER|FILE")]
    pub output: PathBuf,
    /// Only this part
    #[arg(long, value_enum)]
    pub part: Option<PartArg>,
    /// Other seeds, other numbers
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Replace existing files
    #[arg(long)]
    pub force: bool,
}

/// [`Role`] as an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PartArg {
    /// The only transformer
    Transformer,
    /// The high-noise expert
    High,
    /// The low-noise expert
    Low,
    /// The text encoder
    TextEncoder,
    /// The autoencoder
    Vae,
}

impl From<PartArg> for Role {
    fn from(arg: PartArg) -> Self {
        match arg {
            PartArg::Transformer => Self::Transformer,
            PartArg::High => Self::High,
            PartArg::Low => Self::Low,
            PartArg::TextEncoder => Self::TextEncoder,
            PartArg::Vae => Self::Vae,
        }
    }
}

/// Arguments of `kinora verify`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Each case is a folder with a small module, its inputs and the reference's outputs. One line is printed per case:
the largest error relative to the largest expected value, the cosine between both, and whether they are within
the case's tolerance. What is not implemented is reported and never counts as passed.

With --precision f16 or --attention int8 a run on the processor that rounds in the same places sets the tolerance: a case
passes where every operation alone, with that run's operands, gives that run's result, and where the error of the whole case
against the reference, as a root mean square, is at most twice that run's.

Examples:
  kinora verify tests/goldens/wan22*
  kinora --device cpu verify tests/goldens/*
  kinora verify --bisect CASE                 which operation does this device compute differently?

Exit status: 0 only if all cases pass.")]
pub struct VerifyArgs {
    /// Folders with a case.json
    #[arg(required = true, value_name = "CASE")]
    pub cases: Vec<PathBuf>,
    /// Run every operation of the cases alone, with the processor's operands, and name the first that differs
    #[arg(long)]
    pub bisect: bool,
    /// Scores of the transformer's self-attention, as `kinora render --attention` has them
    #[arg(long, value_name = "float|int8", default_value_t)]
    pub attention: Scores,
}

/// Settings that cannot work together or mean nothing: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.global.verbose);
    interrupt::install();
    let result = match &cli.command {
        Command::Render(args) => crate::render::run(&cli.global, args),
        Command::Plan(args) => crate::render::plan(&cli.global, args),
        Command::Devices => commands::devices::run(&cli.global),
        Command::Inspect(args) => commands::inspect::run(&cli.global, args),
        Command::Models(args) => commands::models::run(&cli.global, args),
        Command::Pull(args) => commands::pull::run(&cli.global, args),
        Command::Quantize(args) => commands::quantize::run(&cli.global, args),
        Command::Synth(args) => commands::synth::run(&cli.global, args),
        Command::Bench(args) => crate::bench::run(&cli.global, args),
        Command::Verify(args) => commands::verify::run(&cli.global, args),
    };
    match result {
        Ok(status) => status,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", one_line(&error));
            ExitCode::from(status(&error))
        }
    }
}

fn log_to_stderr(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let level = match verbose {
        0 => "warn",
        1 => "kinora=info,warn",
        _ => "kinora=debug,info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Fails where a program that uses this library logs already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .try_init();
}

/// The error and its causes on one line; a cause that its error quotes already is not repeated.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string().replace('\n', " ");
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

/// Exit status of a command that ended with `error`.
fn status(error: &anyhow::Error) -> u8 {
    use kinora_models::sampler::SamplerError;
    let misuse = |cause: &(dyn std::error::Error + 'static)| {
        use crate::{convert, pull};
        cause.is::<Misuse>()
            || matches!(cause.downcast_ref(), Some(pull::Error::Name(_)))
            || matches!(
                cause.downcast_ref(),
                Some(convert::Error::Extension { .. } | convert::Error::Exists { .. })
            )
            || matches!(cause.downcast_ref(), Some(kinora_models::Error::Setting { .. }))
            || matches!(
                cause.downcast_ref(),
                Some(kinora_models::Error::Sampler(
                    SamplerError::UnknownName { .. } | SamplerError::Steps(_) | SamplerError::Shift(_)
                ))
            )
    };
    if error.chain().any(is_cancelled) {
        interrupt::STATUS
    } else if error.chain().any(misuse) {
        2
    } else {
        1
    }
}

fn is_cancelled(cause: &(dyn std::error::Error + 'static)) -> bool {
    use kinora_graph::Error::Cancelled;
    matches!(cause.downcast_ref(), Some(Cancelled))
        || matches!(cause.downcast_ref(), Some(kinora_models::Error::Graph(Cancelled)))
}

/// Whoever reads our output has seen enough, as `head` has.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_anywhere() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| cli.global);
        for line in [
            "kinora --device cpu --json verify a b",
            "kinora verify a b --json --device cpu",
        ] {
            let global = parse(line).unwrap();
            assert_eq!(
                (global.device.clone(), global.json(), global.precision),
                (DeviceChoice::Cpu, true, PrecisionArg::F32)
            );
        }
        assert_eq!(
            parse("kinora verify a --precision f16 --device 2").unwrap().device,
            DeviceChoice::Adapter("2".into())
        );
        for misuse in [
            "kinora",
            "kinora verify",
            "kinora verify a --precision f8",
            "kinora nonsense",
        ] {
            assert_eq!(parse(misuse).unwrap_err().exit_code(), 2, "{misuse}");
        }
    }

    #[test]
    fn an_error_is_one_line_without_repetitions() {
        let io = std::io::Error::other("disk full");
        let error = kinora_models::Error::Io {
            path: "a.mp4".into(),
            source: io,
        };
        let error = anyhow::Error::from(error).context("cannot write\nthe clip");
        assert_eq!(one_line(&error), "cannot write the clip: a.mp4: disk full");
    }

    #[test]
    fn statuses_tell_misuse_from_failure() {
        let setting = kinora_models::Error::Setting {
            setting: "--frames",
            why: "5 or 9".into(),
        };
        assert_eq!(status(&anyhow::Error::from(setting).context("render")), 2);
        assert_eq!(status(&Misuse("no".into()).into()), 2);
        assert_eq!(
            status(
                &kinora_models::sampler::SamplerError::Class {
                    class: "A".into(),
                    known: "B".into()
                }
                .into()
            ),
            1
        );
        assert_eq!(
            status(&kinora_models::Error::from(kinora_graph::Error::Cancelled).into()),
            130
        );
        assert_eq!(status(&kinora_graph::Error::Cancelled.into()), 130);
    }
}
