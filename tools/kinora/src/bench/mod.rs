//! `kinora bench`: how fast a device is, held against its own limits.
//!
//! - `args`, `shapes`, `rows`: what is measured
//! - `session`, `check`: how: timing, roofline, comparison with the processor
//! - `ceilings`, `ops`, `graphs`: the limits, single operations, whole graphs
//! - [`report`]: the JSON; `text`, `html`: the same for people
//! - `compare`: two reports

mod args;
mod ceilings;
mod check;
mod compare;
mod graphs;
mod html;
mod numbers;
mod ops;
mod plot;
pub mod report;
mod rows;
mod session;
mod shapes;
mod spread;
#[cfg(test)]
mod tests;
mod text;

pub use args::{BenchArgs, BenchCommand, CompareArgs, Formats, Kind};
pub use compare::compare;
pub use html::page;
pub use spread::{Budget, Spread};

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use kinora_models::wan::Variant;
use kinora_runtime::Device;

use crate::cli::{Global, Misuse, PrecisionArg};
use crate::convert::Target;
use crate::executor::DeviceChoice;
use report::{DeviceInfo, HostInfo, Options, Report, SCHEMA};
use session::Session;
use shapes::SIZES;

/// Runs `kinora bench`.
///
/// # Errors
/// Where the device fails, a report cannot be written or read, or Ctrl-C was pressed (what was measured is written).
pub fn run(global: &Global, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if let Some(BenchCommand::Compare(files)) = &args.command {
        let (before, after) = (Report::read(&files.before)?, Report::read(&files.after)?);
        write!(std::io::stdout().lock(), "{}", compare(&before, &after))?;
        return Ok(ExitCode::SUCCESS);
    }
    let to_stdout = args.json.as_deref() == Some(Path::new("-"));
    let files = args.json.iter().filter(|_| !to_stdout).chain(&args.html);
    for path in files {
        check_place(path, args.force)?;
    }
    let mut out: Box<dyn Write> = match to_stdout {
        true => Box::new(std::io::stderr()),
        false => Box::new(std::io::stdout()),
    };
    let (report, result) = measure(global, args, &mut out)?;
    if to_stdout {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else if let Some(path) = &args.json {
        write_whole(path, serde_json::to_string_pretty(&report)?.as_bytes())?;
    }
    if let Some(path) = &args.html {
        write_whole(path, page(&report).as_bytes())?;
    }
    result?;
    if let (Some(filter), []) = (&args.filter, &report.rows[..]) {
        let why = format!("no row's id contains `{filter}`; run without --filter to see them");
        return Err(Misuse(why).into());
    }
    let wrong = |row: &&report::Row| row.measured.as_ref().is_some_and(|m| !m.check.passed);
    let wrong: Vec<_> = report.rows.iter().filter(wrong).map(|row| row.id.as_str()).collect();
    if wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: results differ from the processor's: {}", wrong.join("; "));
    Ok(ExitCode::FAILURE)
}

/// Everything that is asked for; a line on `out` for each result. The report holds what was measured, also where the
/// result is an error.
///
/// # Errors
/// Where there is no device to measure.
pub fn measure(global: &Global, args: &BenchArgs, out: &mut dyn Write) -> anyhow::Result<(Report, anyhow::Result<()>)> {
    let selector = match &global.device {
        DeviceChoice::Cpu => {
            let why = "bench measures graphics devices; leave out `--device cpu`, or install a driver";
            return Err(Misuse(why.into()).into());
        }
        DeviceChoice::Default => None,
        DeviceChoice::Adapter(name) => Some(name.as_str()),
    };
    let measured: BTreeSet<&str> = SIZES.iter().map(|size| size.variant.name()).collect();
    if let Some(other) = args.model.iter().find(|v| !measured.contains(v.name())) {
        let known = measured.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Misuse(format!("the shapes of {other} are not in the table; there are {known}")).into());
    }
    let device = Device::open(selector)?;
    let tuner = crate::executor::tuner(global)?(&device);
    let options = crate::executor::options(&device, global.precision.into(), &global.memory);
    writeln!(out, "{}", device.description())?;
    let mut session = Session {
        options,
        tuner,
        budget: Budget::new(args.quick),
        report: empty(global, args, &device),
        device,
        out,
    };
    let result = rows::all(&mut session, args);
    session.report.complete = result.is_ok();
    Ok((session.report, result))
}

fn empty(global: &Global, args: &BenchArgs, device: &Device) -> Report {
    let description = device.description();
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let names = |targets: Vec<Target>| targets.iter().map(|t| t.name.to_owned()).collect();
    Report {
        schema: SCHEMA,
        tool: format!("kinora {}", env!("CARGO_PKG_VERSION")),
        started: since.map_or(0, |d| d.as_secs()),
        complete: false,
        device: DeviceInfo {
            name: description.name.clone(),
            backend: description.backend.clone(),
            class: description.class.to_string(),
            driver: description.driver.clone(),
            memory: description.memory.map(|memory| memory.heap),
            max_binding: description.max_binding,
        },
        host: HostInfo {
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            threads: std::thread::available_parallelism().map_or(1, Into::into),
        },
        options: Options {
            targets: args.kinds().iter().map(|kind| kind.name().to_owned()).collect(),
            quick: args.quick,
            precision: match global.precision {
                PrecisionArg::F32 => "f32".to_owned(),
                PrecisionArg::F16 => "f16".to_owned(),
            },
            formats: names(args.types(&rows::FORMATS)),
            models: args.model.iter().map(Variant::to_string).collect(),
            filter: args.filter.clone(),
        },
        ceilings: Vec::new(),
        rows: Vec::new(),
    }
}

/// Whether a report can be written to `path`: better known before an hour of measuring than after.
fn check_place(path: &Path, force: bool) -> Result<(), Misuse> {
    let shown = path.display();
    if path.exists() && !force {
        return Err(Misuse(format!("{shown} exists; choose another name or use --force")));
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => Err(Misuse(format!(
            "there is no folder {} to write {shown} to",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// Writes a file under a temporary name and gives it its own when it is whole.
fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension("part");
    let written = std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}
