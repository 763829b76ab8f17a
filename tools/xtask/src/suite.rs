//! `cargo xtask test`: everything that must hold, in one table.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{arrows, driver, licences, process};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave out clippy and the documentation.
    #[arg(long)]
    quick: bool,
}

/// How a step ended, with a word on it.
enum Outcome {
    Passed(String),
    Skipped(String),
    Failed(String),
}

impl From<Result<String>> for Outcome {
    fn from(result: Result<String>) -> Self {
        match result {
            Ok(note) => Self::Passed(note),
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}

#[derive(Default)]
struct Table(Vec<(&'static str, Outcome, Duration)>);

impl Table {
    /// Runs a step; a failure does not stop the next.
    fn step(&mut self, name: &'static str, step: impl FnOnce() -> Outcome) {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = step();
        if let Outcome::Failed(note) = &outcome {
            println!("{name} FAILED: {note}");
        }
        self.0.push((name, outcome, start.elapsed()));
    }

    fn print(&self) {
        println!();
        for (name, outcome, time) in &self.0 {
            let (word, note) = match outcome {
                Outcome::Passed(note) => ("ok", note),
                Outcome::Skipped(note) => ("skipped", note),
                Outcome::Failed(note) => ("FAILED", note),
            };
            let note = note.lines().next().unwrap_or_default();
            println!("{name:<10} {word:<8} {:>7.1} s  {note}", time.as_secs_f64());
        }
        let total: Duration = self.0.iter().map(|(_, _, time)| *time).sum();
        println!("{:<19} {:>7.1} s", "total", total.as_secs_f64());
    }
}

/// Quick checks first, then the tests, then what is slow and seldom fails. Everything takes the whole workspace, so
/// that features unify in the same way and no dependency is built twice.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut table = Table::default();
    table.step("arrows", || arrows::run().into());
    table.step("licences", || licences::run().into());
    table.step("format", || component("fmt", &["--all", "--check"]));

    let mut kinora = None;
    table.step("build", || {
        match process::build(&["--workspace", "--all-targets"], "kinora") {
            Ok(program) => {
                kinora = Some(program);
                Outcome::Passed(String::new())
            }
            Err(error) => Outcome::Failed(format!("{error:#}")),
        }
    });
    let mut require_gpu = continuous_integration();
    if let Some(kinora) = kinora {
        table.step("driver", || match driver::ensure(&kinora) {
            Ok(adapters) if adapters.is_empty() && require_gpu => Outcome::Failed(format!("none; {}", driver::REMEDY)),
            Ok(adapters) if adapters.is_empty() => Outcome::Skipped(format!(
                "no adapter: tests of kernels on a device are left out; {}",
                driver::REMEDY
            )),
            Ok(adapters) => {
                require_gpu = true;
                Outcome::Passed(adapters.join(", "))
            }
            Err(error) => Outcome::Failed(format!("{error:#}")),
        });
        table.step("tests", || tests(require_gpu).into());
    }
    if !arguments.quick {
        table.step("clippy", || {
            component("clippy", &["--workspace", "--all-targets", "--", "-D", "warnings"])
        });
        table.step("documents", || {
            let mut command = process::cargo(&["doc", "--workspace", "--no-deps"]);
            process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
                .map(|()| String::new())
                .into()
        });
    }
    table.print();
    let failed = table
        .0
        .iter()
        .filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)))
        .count();
    if failed > 0 {
        bail!("{failed} of {} steps failed", table.0.len());
    }
    Ok(())
}

/// Runs a part of cargo that a toolchain may lack.
fn component(name: &str, arguments: &[&str]) -> Outcome {
    if !process::succeeds(&mut process::cargo(&[name, "--version"])) {
        return Outcome::Skipped(format!(
            "this toolchain has no cargo {name} (`rustup component add` brings it)"
        ));
    }
    let mut command = process::cargo(&[name]);
    process::run(command.args(arguments)).map(|()| String::new()).into()
}

fn continuous_integration() -> bool {
    std::env::var("CI").is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()))
}

/// All tests; the result counts them.
fn tests(require_gpu: bool) -> Result<String> {
    let mut command = process::cargo(&["test", "--workspace", "--no-fail-fast"]);
    if require_gpu {
        command.env("KINORA_REQUIRE_GPU", "1");
    }
    let mut counts = Counts::default();
    let result = process::lines(&mut command, |line| {
        println!("{line}");
        counts.add(line);
    });
    match result {
        Ok(()) => Ok(counts.to_string()),
        Err(_) => bail!("{counts}"),
    }
}

/// Sums of cargo's `test result:` lines.
#[derive(Default, Debug, PartialEq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Counts {
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
            return;
        };
        // "ok. 3 passed; 0 failed; 1 ignored; …"
        for part in counts.split(['.', ';']) {
            let Some((count, what)) = part.trim().split_once(' ') else {
                continue;
            };
            let count = count.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} ignored",
            self.passed, self.failed, self.ignored
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn results_add_up() {
        let mut counts = Counts::default();
        counts.add("running 4 tests");
        counts.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.03s");
        counts.add("test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s");
        assert_eq!(
            counts,
            Counts {
                passed: 13,
                failed: 2,
                ignored: 1
            }
        );
    }
}
