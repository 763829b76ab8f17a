// An invocation loads four columns at one k by `load_b(state, k)`.
fn b_lane(thread: u32) -> vec2<u32> {
    // Neighbouring invocations read what lies side by side in memory.
    let t = thread % (STEP * ACROSS);
    return vec2<u32>(select(t % STEP, t / ACROSS, B_COLUMNS_FIRST), select(t / STEP, t % ACROSS, B_COLUMNS_FIRST));
}

fn fill_b(thread: u32, lane: vec2<u32>, state: vec4<u32>, k0: u32) {
    if thread >= STEP * ACROSS {
        return;
    }
    var b = vec4<Number>();
    if k0 + lane.x < depth() {
        b = rounded_b(load_b(state, k0 + lane.x));
    }
    tile_b[lane.x * B_STRIDE + lane.y] = b;
}
