//! `kinora quantize`

use std::io::Write;
use std::process::ExitCode;

use kinora_quant::file;
use serde_json::{Value, json};

use crate::cli::{Global, QuantizeArgs};
use crate::convert::{Error, Line, Quantize, Totals, quantize};
use crate::interrupt;
use crate::meter::Meter;
use crate::units::{bytes, printable};

pub(crate) fn run(global: &Global, args: &QuantizeArgs) -> anyhow::Result<ExitCode> {
    let weights = file::open(&args.input)?;
    let job = Quantize {
        weights: &*weights,
        output: &args.output,
        target: args.target,
        force: args.force,
        requantize: args.requantize,
    };
    let size = |name: String| weights.info(&name).map_or(0, |info| info.bytes() as u64);
    let total = weights.names().into_iter().map(size).sum();
    let mut meter = Meter::new(global.json());
    meter.begin(&args.output.display().to_string(), Some(total), 0);
    let mut lines = Vec::new();
    let result = quantize(&job, &mut |read, line| {
        meter.add(read);
        lines.extend(line);
        !interrupt::requested()
    });
    meter.end();
    let totals = match result {
        Ok(totals) => totals,
        Err(error @ Error::Cancelled) => {
            return Err(anyhow::Error::from(kinora_graph::Error::Cancelled).context(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let mut out = std::io::stdout().lock();
    if global.json() {
        writeln!(out, "{}", report(&lines, &totals))?;
    } else {
        write(&mut out, &lines, &totals)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn report(lines: &[Line], totals: &Totals) -> Value {
    let tensors: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "name": line.name, "from": line.from.name(), "to": line.to.map(|to| to.name()), "unfit": line.unfit,
                "relative_rms": line.error.map(|e| e.relative_rms()), "max": line.error.map(|e| e.max),
            })
        })
        .collect();
    json!({
        "event": "quantized", "tensors": tensors, "bytes_read": totals.read, "bytes_written": totals.written,
        "relative_rms": totals.relative_rms(), "max": totals.max,
    })
}

fn write(out: &mut impl Write, lines: &[Line], totals: &Totals) -> std::io::Result<()> {
    let width = lines
        .iter()
        .map(|line| line.name.chars().count())
        .max()
        .unwrap_or(0)
        .min(80);
    for line in lines {
        let name = printable(&line.name);
        let Some(to) = line.to else {
            // Tokenizers inside text encoders, in the files that we know.
            writeln!(
                out,
                "{name:<width$}  {} left out: the file cannot hold it (a tokenizer: give render --tokenizer FILE)",
                line.from
            )?;
            continue;
        };
        // What was kept as it is would only make the list longer.
        let Some(error) = &line.error else { continue };
        let note = if line.unfit {
            "  (its rows are no whole blocks)"
        } else {
            ""
        };
        writeln!(
            out,
            "{name:<width$}  {} -> {to}  error {:.2e}, largest {:.2e}{note}",
            line.from,
            error.relative_rms(),
            error.max
        )?;
    }
    let changed = lines.iter().filter(|line| line.error.is_some()).count();
    writeln!(
        out,
        "{changed} of {} tensors changed; error {:.2e}, largest {:.2e}; {} -> {} ({:.0} %)",
        lines.len(),
        totals.relative_rms(),
        totals.max,
        bytes(totals.read),
        bytes(totals.written),
        100.0 * totals.written as f64 / totals.read.max(1) as f64
    )
}
