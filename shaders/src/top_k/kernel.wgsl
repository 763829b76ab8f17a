//#include common

struct Params {
    rows: u32,
    columns: u32,
    k: u32,
    first_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = flat(group) * 64u + thread;
    if i >= params.rows {
        return;
    }
    let row = params.first_row + i;
    var last = 0.0;
    var last_id = 0u;
    for (var n = 0u; n < params.k; n++) {
        var best = 0.0;
        var id = params.columns;
        for (var c = 0u; c < params.columns; c++) {
            let v = logits[row * params.columns + c];
            // What was chosen before is higher, or equal and further in front.
            let left = n == 0u || v < last || (v == last && c > last_id);
            if left && (id == params.columns || v > best) {
                best = v;
                id = c;
            }
        }
        // NaN may leave nothing to choose; ids are always those of experts.
        id = min(id, params.columns - 1u);
        out[row * params.k + n] = id;
        last = best;
        last_id = id;
    }
}
