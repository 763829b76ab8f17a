@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let inside = flat(group) < params.rows;
    let row = params.first_row + min(flat(group), params.rows - 1u);
    for (var first = 0u; first < params.k; first += PART) {
        let v = bitcast<vec4<u32>>(rotated(row, first, thread));
        let k = first + 4u * thread;
        if inside && k < params.k {
            // Groups are multiples of four: all four elements are there.
            let place = row * params.k + k;
            out[place] = v.x;
            out[place + 1u] = v.y;
            out[place + 2u] = v.z;
            out[place + 3u] = v.w;
        }
    }
}
