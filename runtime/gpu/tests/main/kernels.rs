//! Each kernel against its plain version.

use kinora_runtime::Device;
use kinora_shaders::table::CALLS;
use kinora_shaders::{Call, attention, flags};

/// Kernels around the one loop of products, of which each tier has variants.
const PRODUCTS: [&str; 4] = ["linear", "conv3d", "matmul", "grouped_linear"];

/// Bytes of the output.
fn run(device: &Device, call: &Call) -> Vec<u8> {
    let found = device
        .probe(&call.shader, &call.params, call.workgroups, &call.operands)
        .and_then(|probe| {
            probe.run(1)?;
            probe.read(call.out)
        });
    found.unwrap_or_else(|e| panic!("{}: {e}", call.name))
}

fn check(chosen: impl Fn(&str) -> bool) {
    let Some(device) = crate::device() else { return };
    let mut failures = Vec::new();
    for (kernel, calls) in CALLS.into_iter().filter(|(kernel, _)| chosen(kernel)) {
        let (offered, lacking): (Vec<_>, Vec<_>) = calls(7).into_iter().partition(|c| device.supports(&c.shader));
        let mut worst = 0f32;
        for call in &offered {
            let error = call.error(&run(&device, call));
            // A sum in f32 is at best right to its last bit.
            let tolerance = if call.tolerance > 0.0 {
                call.tolerance.max(2.0 * f32::EPSILON)
            } else {
                0.0
            };
            worst = worst.max(error / tolerance.max(f32::MIN_POSITIVE));
            if error.is_nan() || error > tolerance {
                failures.push(format!("{}: error {error:e}, tolerance {tolerance:e}", call.name));
            }
        }
        println!(
            "{kernel}: {} calls, at most {:.0} % of the tolerance",
            offered.len(),
            100.0 * worst
        );
        if !lacking.is_empty() {
            println!(
                "{kernel}: {} calls skipped: the device lacks what they need",
                lacking.len()
            );
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn products_agree_with_their_plain_versions() {
    check(|kernel| PRODUCTS.contains(&kernel));
}

#[test]
fn other_kernels_agree_with_their_plain_versions() {
    check(|kernel| !PRODUCTS.contains(&kernel));
}

#[test]
fn blocks_that_leave_nothing_out_change_no_bit() {
    let Some(device) = crate::device() else { return };
    for case in attention::cases() {
        let dense = case.call(7);
        if case.flags & flags::BLOCKS != 0 || !device.supports(&dense.shader) {
            continue;
        }
        let mut all = dense.clone();
        let mut params: attention::Params = bytemuck::pod_read_unaligned(&dense.params);
        params.flags |= flags::BLOCKS;
        all.params = bytemuck::bytes_of(&params).to_vec();
        let blocks = &mut all.operands[dense.out - 1];
        *blocks = 1f32.to_le_bytes().repeat(blocks.len() / 4);
        assert!(run(&device, &dense) == run(&device, &all), "{}", dense.name);
    }
}
