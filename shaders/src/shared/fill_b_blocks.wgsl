// An invocation loads four columns at four k: decoders share the work of neighbours.
fn b_lane(thread: u32) -> vec2<u32> {
    let t = thread % (STEP / 4u * ACROSS);
    return vec2<u32>(t % (STEP / 4u) * 4u, t / (STEP / 4u));
}

fn fill_b(thread: u32, lane: vec2<u32>, state: vec4<u32>, k0: u32) {
    if thread >= STEP / 4u * ACROSS {
        return;
    }
    var b = mat4x4<f32>();
    let k = k0 + lane.x;
    if k < params.k {
        b = transpose(mat4x4<f32>(weight4(state.x, k), weight4(state.y, k), weight4(state.z, k), weight4(state.w, k)));
    }
    let place = lane.x * B_STRIDE + lane.y;
    //#repeat $i 4
    tile_b[place + $iu * B_STRIDE] = rounded_b(b[$i]);
    //#end
}
