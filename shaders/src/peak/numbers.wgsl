// `Numbers`, four of them; `start`, `step` and `total` on them.
//#include unit

// Sums that do not wait for each other hide the latency of the unit, and a long body the cost of the loop.
@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let index = flat(group) * INVOCATIONS + thread;
    if index >= params.groups * INVOCATIONS {
        return;
    }
    //#repeat $i 4
    var x$i = start(index + $iu);
    //#end
    for (var round = 0u; round < params.rounds; round += 1u) {
        //#repeat $step STEPS
        x0 = step_of(x0);
        x1 = step_of(x1);
        x2 = step_of(x2);
        x3 = step_of(x3);
        //#end
    }
    out[index] = total(x0, x1, x2, x3);
}
