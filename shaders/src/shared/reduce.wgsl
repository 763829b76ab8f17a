// Sums and maxima over LANES = ROOT · ROOT neighbouring invocations of a workgroup of SIZE, in two steps. All invocations
// must call it together; `slot` is 0 and 1 in turn, so that nobody waits for those who still read the last result.
var<workgroup> shares: array<f32, 2u * SIZE>;
var<workgroup> partial: array<f32, 2u * SIZE>;

fn join(a: f32, b: f32, highest: bool) -> f32 {
    return select(a + b, max(a, b), highest);
}

fn reduce(slot: u32, thread: u32, value: f32, highest: bool) -> f32 {
    if LANES == 1u {
        return value;
    }
    let lane = thread % LANES;
    let first = slot * SIZE + thread - lane;
    shares[first + lane] = value;
    workgroupBarrier();
    if lane < ROOT {
        var sum = shares[first + lane];
        for (var i = 1u; i < ROOT; i++) {
            sum = join(sum, shares[first + lane + i * ROOT], highest);
        }
        partial[first + lane] = sum;
    }
    workgroupBarrier();
    var sum = partial[first];
    for (var i = 1u; i < ROOT; i++) {
        sum = join(sum, partial[first + i], highest);
    }
    return sum;
}

fn sum_lanes(slot: u32, thread: u32, value: f32) -> f32 {
    return reduce(slot, thread, value, false);
}

fn max_lanes(slot: u32, thread: u32, value: f32) -> f32 {
    return reduce(slot, thread, value, true);
}
