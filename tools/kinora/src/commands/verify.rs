//! `kinora verify`

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use kinora_graph::Executor;
use serde_json::json;

use crate::cli::{Global, VerifyArgs};
use crate::executor;
use crate::interrupt::{self, Interruptible};
use crate::verify::{Arithmetic, Bisect, CaseResult, Rounded, Verdict, bisect_case, run_case};

pub(crate) fn run(global: &Global, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let arithmetic = Arithmetic {
        precision: global.precision.into(),
        scores: args.attention,
    };
    let mut executor = executor::of(global)?;
    tracing::info!("device: {}", executor.describe());
    let mut out = std::io::stdout().lock();
    let mut counts = Counts::default();
    for folder in &args.cases {
        let passed = if args.bisect {
            bisect(&mut out, folder, &mut *executor, arithmetic, global.json())?
        } else {
            let result = run_case(folder, &mut *executor, arithmetic, &mut Interruptible);
            if global.json() {
                writeln!(out, "{}", serde_json::to_string(&result)?)?;
            } else {
                writeln!(out, "{}", line(&result))?;
            }
            counts.add(&result.verdict);
            result.passed()
        };
        counts.all &= passed;
        if interrupt::requested() {
            return Ok(ExitCode::from(interrupt::STATUS));
        }
    }
    if !args.bisect && !global.json() && args.cases.len() > 1 {
        let Counts {
            passed,
            failed,
            unsupported,
            ..
        } = counts;
        writeln!(
            out,
            "{passed} passed, {failed} failed, {unsupported} not supported ({})",
            executor.describe()
        )?;
    }
    Ok(if counts.all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Counts {
    all: bool,
    passed: usize,
    failed: usize,
    unsupported: usize,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            all: true,
            passed: 0,
            failed: 0,
            unsupported: 0,
        }
    }
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Unsupported(_) => self.unsupported += 1,
            Verdict::Failed(_) | Verdict::Error(_) | Verdict::Cancelled => self.failed += 1,
        }
    }
}

/// `PASS wan22-… max_rel 3.1e-6 cosine 0.9999999 (tolerance 2e-4) 0.21 s`
fn line(result: &CaseResult) -> String {
    let (word, why) = match &result.verdict {
        Verdict::Passed => ("PASS", None),
        Verdict::Failed(why) => ("FAIL", Some(why.as_str())),
        Verdict::Unsupported(why) => ("SKIP", Some(why.as_str())),
        Verdict::Error(why) => ("ERROR", Some(why.as_str())),
        Verdict::Cancelled => ("STOPPED", None),
    };
    let mut line = format!("{word} {}", result.case);
    if let Some(worst) = result.worst {
        line += &format!(" max_rel {:.1e} cosine {:.7}", worst.max_rel, worst.cosine);
    }
    if let (Some(rounded), Some(whole)) = (&result.rounded, result.worst) {
        let worst = rounded.operations.worst.as_ref();
        let found = worst.and_then(|worst| worst.difference);
        line += &format!(
            " (rms {:.1e}, limit {:.1e}, CPU with the same roundings {:.1e}; {} operations alone within {:.1e}, limit {:.0e})",
            whole.rms_rel,
            Rounded::limit(rounded.cpu),
            rounded.cpu.rms_rel,
            rounded.operations.operations,
            found.map_or(f64::INFINITY, |found| found.max_rel),
            worst.map_or(0.0, |worst| worst.limit),
        );
    } else if let (Some(tolerance), Some(_)) = (result.tolerance, result.worst) {
        line += &format!(" (tolerance {:.0e}, {})", tolerance.max_rel, tolerance.cosine);
    }
    line += &format!(" {:.2} s", result.seconds);
    match (&result.verdict, why) {
        (Verdict::Unsupported(_), Some(why)) => line += &format!(": not supported: {why}"),
        (_, Some(why)) => line += &format!(": {why}"),
        (_, None) => {}
    }
    line
}

/// Bisects a case; whether no operation left its tolerance.
fn bisect(
    out: &mut impl Write,
    folder: &Path,
    executor: &mut dyn Executor,
    arithmetic: Arithmetic,
    json: bool,
) -> anyhow::Result<bool> {
    let name = folder.display();
    let found = bisect_case(folder, executor, arithmetic, &mut Interruptible);
    if json {
        let value = match &found {
            Ok(found) => json!({"case": name.to_string(), "bisect": found}),
            Err(error) => json!({"case": name.to_string(), "error": error.to_string()}),
        };
        writeln!(out, "{value}")?;
    } else {
        let text = match &found {
            Ok(found) => describe(found),
            Err(error) => error.to_string(),
        };
        writeln!(out, "{name}: {text}")?;
    }
    Ok(found.is_ok_and(|found| found.first.is_none()))
}

fn describe(found: &Bisect) -> String {
    match (&found.first, &found.worst) {
        (Some(first), _) => format!("the first of {} operations that differs: {first}", found.operations),
        (None, Some(worst)) => format!("all {} operations agree; the worst: {worst}", found.operations),
        (None, None) => "no operation runs on a device".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{Difference, Tolerance};

    #[test]
    fn a_line_says_it_all() {
        let mut result = CaseResult {
            case: "wan".into(),
            verdict: Verdict::Passed,
            tolerance: Some(Tolerance {
                cosine: 0.9999,
                max_rel: 2e-4,
            }),
            worst: Some(Difference {
                max_rel: 3.14e-6,
                rms_rel: 1e-6,
                cosine: 0.999_999_97,
            }),
            rounded: None,
            outputs: vec![],
            not_computed: vec![],
            seconds: 0.21,
        };
        assert_eq!(
            line(&result),
            "PASS wan max_rel 3.1e-6 cosine 1.0000000 (tolerance 2e-4, 0.9999) 0.21 s"
        );
        result.worst = None;
        result.verdict = Verdict::Unsupported("mochi".into());
        assert_eq!(line(&result), "SKIP wan 0.21 s: not supported: mochi");
    }
}
