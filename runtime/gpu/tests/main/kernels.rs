//! Each kernel against its plain version.

use kinora_shaders::table::CALLS;

#[test]
fn kernels_agree_with_their_plain_versions() {
    let Some(device) = crate::device() else { return };
    let mut failures = Vec::new();
    for (kernel, calls) in CALLS {
        let (mut count, mut worst, mut skipped) = (0, 0f32, 0);
        for call in calls(7) {
            if !device.capabilities().features.cover(call.shader.needs) {
                skipped += 1;
                continue;
            }
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
            (count, worst) = (count + 1, worst.max(error / tolerance.max(f32::MIN_POSITIVE)));
            if error.is_nan() || error > tolerance {
                failures.push(format!("{}: error {error:e}, tolerance {tolerance:e}", call.name));
            }
        }
        if skipped > 0 {
            println!("{kernel}: {skipped} calls skipped, for the device lacks what their shaders need");
        }
        println!(
            "{kernel}: {count} calls, at most {:.0} % of the tolerance",
            100.0 * worst
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
