var<workgroup> highest: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let inside = flat(group) < params.rows;
    let row = params.first_row + min(flat(group), params.rows - 1u);

    // As integers, magnitudes have their order, and NaN is the highest.
    var most = 0u;
    for (var first = 0u; first < params.k; first += PART) {
        let v = bitcast<vec4<u32>>(rotated(row, first, thread)) & vec4<u32>(0x7fffffffu);
        most = max(most, max(max(v.x, v.y), max(v.z, v.w)));
    }
    highest[thread] = most;
    workgroupBarrier();
    for (var step = 128u; step > 0u; step >>= 1u) {
        if thread < step {
            highest[thread] = max(highest[thread], highest[thread + step]);
        }
        workgroupBarrier();
    }
    var scale = bitcast<f32>(highest[0]) / 127.0;
    // Not max: it may lose NaN.
    if scale < LEAST_SCALE {
        scale = LEAST_SCALE;
    }

    let words = (params.k + 3u) / 4u;
    let place = row * (words + 1u);
    for (var first = 0u; first < params.k; first += PART) {
        let v = rotated(row, first, thread);
        let word = first / 4u + thread;
        if inside && word < words {
            let q = clamp(round(v / scale), vec4<f32>(-128.0), vec4<f32>(127.0));
            out[place + word] = pack4xI8(vec4<i32>(q));
        }
    }
    if inside && thread == 0u {
        out[place + words] = bitcast<u32>(scale);
    }
}
