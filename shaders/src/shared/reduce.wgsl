// Sums over LANES neighbouring invocations of 256. All invocations of the workgroup must call it together.
var<workgroup> shares: array<f32, 256>;

fn sum_lanes(thread: u32, value: f32) -> f32 {
    workgroupBarrier();
    shares[thread] = value;
    workgroupBarrier();
    let lane = thread % LANES;
    for (var step = LANES / 2u; step > 0u; step >>= 1u) {
        if lane < step {
            shares[thread] += shares[thread + step];
        }
        workgroupBarrier();
    }
    return shares[thread - lane];
}
