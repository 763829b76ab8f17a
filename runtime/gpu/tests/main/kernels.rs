//! Each kernel against its plain version.

use kinora_shaders::table::CALLS;

/// Kernels around the one loop of products, of which each tier has variants.
const PRODUCTS: [&str; 4] = ["linear", "conv3d", "matmul", "grouped_linear"];

fn check(chosen: impl Fn(&str) -> bool) {
    let Some(device) = crate::device() else { return };
    let mut failures = Vec::new();
    for (kernel, calls) in CALLS.into_iter().filter(|(kernel, _)| chosen(kernel)) {
        let (offered, lacking): (Vec<_>, Vec<_>) = calls(7).into_iter().partition(|c| device.supports(&c.shader));
        let mut worst = 0f32;
        for call in &offered {
            let found = device
                .probe(&call.shader, &call.params, call.workgroups, &call.operands)
                .and_then(|probe| {
                    probe.run(1)?;
                    probe.read(call.out)
                })
                .unwrap_or_else(|e| panic!("{}: {e}", call.name));
            let error = call.error(&found);
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
