//! `cargo xtask fuzz`: coverage-guided fuzzing of the readers, without cargo-fuzz.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{metadata, process};

/// What libFuzzer needs to see which branches an input takes, and checks that the ordinary profile leaves out.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "-Ccodegen-units=1",
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One of fuzz/fuzz_targets; all of them, one after the other, without it.
    target: Option<String>,

    /// Time for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = process::root().join("fuzz");
    let mut targets = targets(&folder)?;
    if let Some(only) = &arguments.target {
        if !targets.contains(only) {
            bail!("there is no target `{only}`; there are {}", targets.join(", "));
        }
        targets = vec![only.clone()];
    }
    let nightly = |program: &str| {
        let mut command = Command::new("rustup");
        command
            .args(["run", "nightly", program])
            .env_remove("CARGO")
            .env_remove("RUSTC")
            .env_remove("RUSTUP_TOOLCHAIN");
        command
    };
    if !process::succeeds(nightly("rustc").arg("--version")) {
        bail!("fuzzing needs a nightly toolchain: `rustup toolchain install nightly`");
    }
    let (host, output) = (metadata::host()?, process::root().join("target/fuzz"));
    for target in &targets {
        // With an explicit target, the flags spare build scripts and procedural macros.
        let mut build = nightly("cargo");
        build
            .current_dir(&folder)
            .args(["build", "--release", "--target", &host, "--bin", target]);
        build
            .env("CARGO_TARGET_DIR", &output)
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
        process::run(&mut build)?;
    }
    let mut failed = Vec::new();
    for target in &targets {
        let (corpus, found) = (
            output.join("corpus").join(target),
            output.join("artifacts").join(target),
        );
        std::fs::create_dir_all(&corpus)?;
        std::fs::create_dir_all(&found)?;
        let mut fuzzer = Command::new(output.join(&host).join("release").join(target));
        // New inputs go to the first folder; the second is only read.
        fuzzer.arg(&corpus).arg(folder.join("seeds").join(target));
        fuzzer.arg(format!("-max_total_time={}", arguments.seconds));
        fuzzer.arg(format!("-artifact_prefix={}/", found.display()));
        fuzzer.args([
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-max_len=65536",
            "-print_final_stats=1",
        ]);
        if let Err(error) = process::run(&mut fuzzer) {
            println!("{error:#}; the input is in {}", found.display());
            failed.push(target.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("found inputs that break {}", failed.join(", "));
    }
    Ok(())
}

/// Names of the targets, in order.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in folder.join("fuzz_targets").read_dir().context("fuzz/fuzz_targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}
