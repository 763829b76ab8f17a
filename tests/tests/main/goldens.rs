//! The project's own cases, on the processor and on whatever adapter is there.

use std::path::PathBuf;

use kinora::verify::{Arithmetic, run_case};
use kinora::{DeviceChoice, MemoryArgs, open_executor};
use kinora_graph::{NoControl, Precision, Scores};

fn cases() -> Vec<PathBuf> {
    let folder = kinora_tests::root().join("goldens");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.join("case.json").is_file())
        .collect();
    cases.sort();
    assert!(cases.len() >= 29, "goldens are missing: {} found", cases.len());
    cases
}

fn all_pass(device: &DeviceChoice, arithmetic: impl Into<Arithmetic>, cases: &[PathBuf]) {
    let arithmetic = arithmetic.into();
    let mut executor = match open_executor(device, arithmetic.precision, &MemoryArgs::default()) {
        Ok(executor) => executor,
        Err(error) if std::env::var_os("KINORA_REQUIRE_GPU").is_none() => {
            println!("skipped, no adapter: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let failed: Vec<String> = cases
        .iter()
        .map(|case| run_case(case, &mut *executor, arithmetic, &mut NoControl))
        .filter(|result| !result.passed())
        .map(|result| format!("{result:?}"))
        .collect();
    assert!(failed.is_empty(), "{}:\n{}", executor.describe(), failed.join("\n"));
}

#[test]
fn pass_on_the_processor() {
    all_pass(&DeviceChoice::Cpu, Precision::F32, &cases());
}

#[test]
fn pass_on_the_adapter() {
    all_pass(&DeviceChoice::Default, Precision::F32, &cases());
}

#[test]
fn pass_on_the_adapter_in_half_precision() {
    all_pass(&DeviceChoice::Default, Precision::F16, &cases());
}

/// Of cases without self-attention of a transformer the others say all.
#[test]
fn pass_on_the_adapter_with_int8_scores() {
    let attends = |case: &PathBuf| {
        let name = case.to_string_lossy();
        name.contains(".transformer.") || name.contains(".pipeline.")
    };
    let cases: Vec<PathBuf> = cases().into_iter().filter(attends).collect();
    let scores = Scores::Int8;
    for precision in [Precision::F32, Precision::F16] {
        all_pass(&DeviceChoice::Default, Arithmetic { precision, scores }, &cases);
    }
}
