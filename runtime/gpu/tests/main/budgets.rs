//! Bounded memory: the same bits, and never more than allowed.

use kinora_graph::{Error, Executor, NoControl, Precision};
use kinora_runtime::{Device, GpuExecutor, Options};

use crate::zoo::{self, Specimen};

/// Bits of all outputs of two runs, and the most bytes that were allocated meanwhile.
fn run(device: &std::sync::Arc<Device>, specimen: &Specimen, memory: Option<u64>) -> (Vec<Vec<u32>>, u64, u64) {
    let options = Options {
        precision: Precision::F32,
        memory,
        ..Options::default()
    };
    device.ledger().reset_peak();
    let before = device.ledger().held();
    let mut gpu = GpuExecutor::with_options(device.clone(), device.capabilities(), options);
    let forecast = gpu.forecast(&specimen.graph).unwrap();
    let program = gpu.compile(specimen.graph.clone(), &specimen.weights).unwrap();
    let mut bits = Vec::new();
    for _ in 0..2 {
        let outputs = gpu.run(program, &specimen.inputs(), &mut NoControl).unwrap();
        bits.extend(
            outputs
                .values()
                .map(|t| t.as_f32().unwrap().iter().map(|v| v.to_bits()).collect()),
        );
    }
    let peak = device.ledger().peak() - before;
    // Small buffers are rounded up; nothing else may be missing from the forecast.
    let predicted = forecast.device_bytes();
    assert!(
        peak.abs_diff(predicted) <= predicted / 20 + 4096,
        "{peak} bytes instead of {predicted}"
    );
    (bits, peak, forecast.streamed)
}

/// A device of its own: others' buffers must not be counted.
#[test]
fn a_budget_is_kept_and_changes_no_bit() {
    if crate::device().is_none() {
        return;
    }
    let device = Device::open(None).unwrap();
    for specimen in [zoo::transformer(1), zoo::transformer(2), zoo::autoencoder(3, false)] {
        let (expected, most, streamed) = run(&device, &specimen, None);
        assert_eq!(streamed, 0);
        let mut met = 0;
        let mut memory = most;
        loop {
            memory = memory * 99 / 100;
            let gpu = GpuExecutor::with_options(
                device.clone(),
                device.capabilities(),
                Options {
                    memory: Some(memory),
                    ..Options::default()
                },
            );
            match gpu.forecast(&specimen.graph) {
                Ok(_) => {}
                Err(Error::OutOfMemory { needed, available, .. }) => {
                    assert!(needed > available);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
            let (found, peak, streamed) = run(&device, &specimen, Some(memory));
            assert!(found == expected, "{memory} of {most} bytes");
            assert!(peak <= memory, "{peak} of {memory} bytes");
            assert!(streamed > 0);
            met += 1;
        }
        assert!(met >= 3, "only {met} budgets fit");
    }
}
