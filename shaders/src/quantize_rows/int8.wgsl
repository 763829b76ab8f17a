//#include quantize

var<workgroup> highest: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let inside = flat(group) < params.rows;
    let row = params.first_row + min(flat(group), params.rows - 1u);

    var most = 0u;
    for (var first = 0u; first < params.k; first += PART) {
        most = max(most, magnitude(rotated(row, first, thread)));
    }
    highest[thread] = most;
    workgroupBarrier();
    for (var step = 128u; step > 0u; step >>= 1u) {
        if thread < step {
            highest[thread] = max(highest[thread], highest[thread + step]);
        }
        workgroupBarrier();
    }
    let scale = scale_of(highest[0]);

    let words = (params.k + 3u) / 4u;
    let place = row * (words + 1u);
    for (var first = 0u; first < params.k; first += PART) {
        let v = rotated(row, first, thread);
        let word = first / 4u + thread;
        if inside && word < words {
            out[place + word] = signed_bytes(v, scale);
        }
    }
    if inside && thread == 0u {
        out[place + words] = bitcast<u32>(scale);
    }
}
