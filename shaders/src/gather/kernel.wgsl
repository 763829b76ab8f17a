//#include common
//#include weight

struct Params {
    rows: u32,
    k: u32,
    first_row: u32,
    first_weight_row: u32,
    first_id: u32,
    ids: u32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = flat(group) * 256u + thread;
    if i >= params.rows * params.k {
        return;
    }
    let row = params.first_row + i / params.k;
    let column = i % params.k;
    let id = ids[row];
    if id < params.first_id || id - params.first_id >= params.ids {
        return;
    }
    let weights = weight_row(params.first_weight_row + id - params.first_id);
    out[row * params.k + column] = load_weight(weights, column);
}
