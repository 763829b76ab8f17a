//! `cargo xtask isa`: the kernels through Mesa's compilers, for cards that need not be there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Tables, below the repository's root.
const TABLES: &str = "benches/results/isa";

/// What this task makes for itself, below the repository's root.
const CACHE: &str = "target/isa";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    Amd,
    Intel,
}

/// All chips, by the names that Mesa gives them.
const CHIPS: [(&str, Maker); 7] = [
    ("navi21", Maker::Amd),
    ("navi31", Maker::Amd),
    ("gfx1151", Maker::Amd),
    ("gfx1201", Maker::Amd),
    ("dg2", Maker::Intel),
    ("bmg", Maker::Intel),
    ("lnl", Maker::Intel),
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Of navi21 (RDNA2), navi31 (RDNA3), gfx1151 (Strix Halo), gfx1201 (RDNA4), dg2 (Arc A), bmg (Arc B), lnl (Lunar
    /// Lake); all of them without it.
    #[arg(long, value_delimiter = ',', value_parser = CHIPS.map(|(name, _)| name))]
    chips: Vec<String>,

    /// Only these kernels, e.g. linear,attention; rows of others stay as they are.
    #[arg(long, value_delimiter = ',')]
    kernels: Vec<String>,

    /// With wgpu's checks of indices and loops, as where a driver does not guard buffers, to see their price; the tables
    /// stay as they are.
    #[arg(long)]
    checked: bool,

    /// Keep the machine code of each variant, in target/isa/listings.
    #[arg(long)]
    listings: bool,

    /// A folder that tools/isa/mesa.sh has made; without it, one is made below target.
    #[arg(long)]
    mesa: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("Mesa's compilers for cards that are not there run on Linux on x86-64 only");
    }
    let root = process::root();
    let mesa = match &arguments.mesa {
        Some(folder) => std::path::absolute(folder)?,
        None => {
            let folder = root.join(CACHE).join("mesa");
            process::run(Command::new("bash").arg(root.join("tools/isa/mesa.sh")).arg(&folder))?;
            folder
        }
    };
    if !mesa.join("version").exists() {
        bail!("{} is no folder of tools/isa/mesa.sh", mesa.display());
    }
    let program = process::build(&["-p", "kinora-isa"], "kinora-isa")?;
    for (chip, maker) in CHIPS {
        if !arguments.chips.is_empty() && !arguments.chips.iter().any(|name| name == chip) {
            continue;
        }
        let mut command = Command::new(&program);
        command.arg(root.join(TABLES).join(format!("{chip}.csv")));
        for kernel in &arguments.kernels {
            command.args(["--kernels", kernel]);
        }
        if arguments.checked {
            command.arg("--checked");
        }
        if arguments.listings {
            command
                .arg("--listings")
                .arg(root.join(CACHE).join("listings").join(chip));
        }
        process::run(command.envs(environment(chip, maker, &mesa)))?;
    }
    Ok(())
}

/// What makes Mesa believe in a chip, and say what it thinks.
fn environment(chip: &str, maker: Maker, mesa: &Path) -> Vec<(&'static str, PathBuf)> {
    let mut all = vec![
        ("LD_LIBRARY_PATH", mesa.join("lib")),
        ("MESA_SHADER_CACHE_DISABLE", "1".into()),
    ];
    match maker {
        Maker::Amd => all.extend([
            ("VK_DRIVER_FILES", mesa.join("radeon.json")),
            ("RADV_FORCE_FAMILY", chip.into()),
            ("ACO_DEBUG", "perfinfo".into()),
        ]),
        Maker::Intel => all.extend([
            ("VK_DRIVER_FILES", mesa.join("intel.json")),
            ("INTEL_STUB_GPU_PLATFORM", chip.into()),
            ("LD_PRELOAD", mesa.join("libintel_noop_drm_shim.so")),
        ]),
    }
    all
}
