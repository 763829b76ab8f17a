//! Compiles Kinora's kernels with the Vulkan driver of a card that need not be there, and keeps a table of what the
//! compiler made of them. `cargo xtask isa` brings the drivers along and runs this once for each chip.

mod device;
mod listing;
mod offers;
mod row;
mod spirv;
mod stderr;
mod table;
mod variants;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

use device::Device;
use table::{Row, Table};

/// What Mesa's compilers make of the kernels.
#[derive(Parser)]
#[command(name = "kinora-isa")]
struct Arguments {
    /// The chip's table: read, compared and replaced.
    table: PathBuf,

    /// Only these kernels; rows of others stay as they are.
    #[arg(long, value_delimiter = ',')]
    kernels: Vec<String>,

    /// With wgpu's checks of indices and loops, as where a driver does not guard buffers, to see their price; the table
    /// is compared and left as it is.
    #[arg(long)]
    checked: bool,

    /// A folder for the machine code of each variant, and all that the driver says of it.
    #[arg(long)]
    listings: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let known = variants::kernels();
    if let Some(name) = arguments.kernels.iter().find(|name| !known.contains(*name)) {
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        bail!("there is no kernel `{name}`; there are {}", known.join(", "));
    }
    let before = Table::read(&arguments.table)?;
    // Mesa says at every start that there is no such card.
    let (device, log) = stderr::captured(Device::open)?;
    let device = device.with_context(|| log)?;
    // As the runtime has it.
    let checks = arguments.checked || !device.offers.robust_buffers;
    let mut rows = Vec::new();
    for shader in variants::chosen(&arguments.kernels) {
        // What the device does not offer has no row.
        let Some(words) = spirv::words(&shader, &device.offers, checks)? else {
            continue;
        };
        let (executable, log) = stderr::captured(|| device.compile(&shader, &words))?;
        let executable = executable?;
        if let Some(folder) = &arguments.listings {
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join(format!("{}.txt", shader.name)), executable.report(&log))?;
        }
        rows.push(row::row(&shader, &executable, &log).with_context(|| shader.name.clone())?);
    }
    let left = |row: &&Row| {
        let kernel = variants::kernel(&row.variant);
        !arguments.kernels.is_empty() && !arguments.kernels.iter().any(|name| name == kernel)
    };
    let count = rows.len();
    rows.extend(before.rows.iter().filter(left).cloned());
    rows.sort_by(|a, b| a.variant.cmp(&b.variant));
    let after = Table {
        title: device.name.clone(),
        rows,
    };
    println!("{}: {count} variants", after.title);
    if !before.rows.is_empty() {
        for line in after.changes(&before) {
            println!("  {line}");
        }
    }
    if !arguments.checked {
        after.write(&arguments.table)?;
    }
    Ok(())
}
