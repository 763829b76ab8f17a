//! Options of `kinora bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kinora_models::wan::Variant;

use crate::convert::Target;

/// Arguments of `kinora bench`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_long_help = "\
First the device's ceilings are measured (arithmetic in registers, copying, uploading, dispatching), then single
operations at the shapes of real models with random operands, then whole graphs with made-up weights. Each result is
held against the processor's in the same run. No files of a model are needed.

A line says: the median of many runs, how far the middle half of them spreads, the rate, how much of what the
ceilings allow at this shape (the roofline) it reaches, and whether the result was right.

Ctrl-C stops; what was measured until then is still written. benches/README.md documents the JSON.

Examples:
  kinora bench                                          everything, at full size; needs a fast GPU
  kinora bench --quick --json now.json --html now.html  small shapes: minutes on a driver without a GPU
  kinora bench gemm --model wan2.2-ti2v-5b --formats all
  kinora bench attention --precision f16 --filter self
  kinora bench compare before.json after.json"
)]
pub struct BenchArgs {
    /// What to measure besides the ceilings [default: all]
    #[arg(value_enum, value_name = "WHAT")]
    pub targets: Vec<Kind>,
    /// Reduced shapes, fewer samples
    #[arg(long)]
    pub quick: bool,
    /// Write the report to this file as JSON (`-`: to standard output, instead of the lines)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report to this file as a page with a roofline plot
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    pub force: bool,
    /// Only rows whose id, as it is printed, contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Only shapes of these models
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    pub model: Vec<Variant>,
    /// Types of the weights: a list, or `all` [default: f16,q8_0,q4_k,int8 for gemm, f16 for graphs]
    #[arg(long, value_name = "TYPE", value_delimiter = ',', value_parser = formats)]
    pub formats: Vec<Formats>,
    /// Other uses.
    #[command(subcommand)]
    pub command: Option<BenchCommand>,
}

/// `kinora bench` without measuring.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Say by how much each row of two reports differs
    Compare(CompareArgs),
}

/// Arguments of `kinora bench compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The earlier report
    #[arg(value_name = "A.json")]
    pub before: PathBuf,
    /// The later one
    #[arg(value_name = "B.json")]
    pub after: PathBuf,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Products of matrices, in each type of weights
    Gemm,
    /// Self- and cross-attention
    Attention,
    /// Convolutions of the autoencoders
    Conv3d,
    /// Norms, rotations and sums: bound by memory
    Norms,
    /// From the host's memory to the device's
    Upload,
    /// One block of a transformer
    Block,
    /// One step of a transformer, all blocks, with guidance
    Step,
    /// A chunk of an autoencoder
    Vae,
    /// Everything
    All,
}

impl Kind {
    /// What [`Self::All`] stands for.
    pub const EACH: [Self; 8] = [
        Self::Gemm,
        Self::Attention,
        Self::Conv3d,
        Self::Norms,
        Self::Upload,
        Self::Block,
        Self::Step,
        Self::Vae,
    ];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gemm => "gemm",
            Self::Attention => "attention",
            Self::Conv3d => "conv3d",
            Self::Norms => "norms",
            Self::Upload => "upload",
            Self::Block => "block",
            Self::Step => "step",
            Self::Vae => "vae",
            Self::All => "all",
        }
    }
}

/// A word of `--formats`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Formats {
    /// One type.
    One(Target),
    /// Every type.
    All,
}

fn formats(word: &str) -> Result<Formats, crate::convert::Error> {
    match word {
        "all" => Ok(Formats::All),
        name => name.parse().map(Formats::One),
    }
}

impl BenchArgs {
    /// The kinds of rows, in the order in which they are measured.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let all = self.targets.is_empty() || self.targets.contains(&Kind::All);
        let asked = |kind: &Kind| all || self.targets.contains(kind);
        Kind::EACH.into_iter().filter(asked).collect()
    }

    /// The types of weights, or `default`.
    pub(super) fn types(&self, default: &[&str]) -> Vec<Target> {
        if self.formats.contains(&Formats::All) {
            return Target::ALL.to_vec();
        }
        let one = |format: &Formats| match format {
            Formats::One(target) => Some(*target),
            Formats::All => None,
        };
        match self.formats.is_empty() {
            false => self.formats.iter().filter_map(one).collect(),
            true => {
                let known = Target::ALL.into_iter();
                known.filter(|target| default.contains(&target.name)).collect()
            }
        }
    }
}
