//! `kinora inspect`

use std::io::Write;
use std::process::ExitCode;

use crate::cli::{Global, InspectArgs};
use crate::inspect::{Report, inspect};
use crate::units::{bytes, count, printable};

/// Longest remark that is shown, in characters; `--json` gives all of it.
const MAX_REMARK: usize = 400;

pub(crate) fn run(global: &Global, args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let report = inspect(&args.path)?;
    let mut out = std::io::stdout().lock();
    if global.json() {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        write(&mut out, &report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let naming = report
        .naming
        .map(|naming| format!(", {naming} names"))
        .unwrap_or_default();
    let variants = match report.variants.as_slice() {
        [] => String::new(),
        variants => format!(" of {}", variants.join(" or ")),
    };
    writeln!(out, "{}: {}{variants}{naming}", report.path.display(), report.kind)?;
    if let Some(config) = &report.config {
        writeln!(out, "  shape     {}", printable(&config.to_string()))?;
    }
    for (key, value) in &report.metadata {
        let mut value = printable(value);
        if let Some((end, _)) = value.char_indices().nth(MAX_REMARK) {
            value.truncate(end);
            value.push('…');
        }
        writeln!(out, "  {:<9} {value}", printable(key))?;
    }
    if !report.totals.types.is_empty() {
        let types: Vec<String> = report
            .totals
            .types
            .iter()
            .map(|(name, n)| format!("{n} {}", printable(name)))
            .collect();
        writeln!(
            out,
            "  holds     {} parameters, {} (tensors: {})",
            count(report.totals.parameters),
            bytes(report.totals.bytes),
            types.join(", ")
        )?;
    }
    writeln!(out, "  use       {}", report.use_with)?;
    for part in &report.parts {
        writeln!(out)?;
        write(out, part)?;
    }
    if report.tensors.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let width = report
        .tensors
        .iter()
        .map(|t| t.name.chars().count())
        .max()
        .unwrap_or(0)
        .min(80);
    for tensor in &report.tensors {
        let note = if tensor.readable { "" } else { "  cannot be read" };
        writeln!(
            out,
            "  {:<width$}  {:<6}  {:<24}  {:>8}{note}",
            printable(&tensor.name),
            printable(&tensor.type_name),
            format!("{:?}", tensor.shape),
            bytes(tensor.bytes)
        )?;
    }
    Ok(())
}
