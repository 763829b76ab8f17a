//#include common

struct Params {
    rows: u32,
    columns: u32,
    k: u32,
    first_row: u32,
    first_slot: u32,
    slots: u32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> groups: array<u32>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = flat(group) * 256u + thread;
    if i >= params.rows * params.columns {
        return;
    }
    let row = i / params.columns;
    let column = i % params.columns;
    let place = (params.first_row + row) * params.k;
    let slot = params.slots + params.first_slot + row * params.k;
    var sum = 0.0;
    for (var n = 0u; n < params.k; n++) {
        let source = min(groups[slot + n], params.slots - 1u);
        sum += weights[place + n] * x[source * params.columns + column];
    }
    out[(params.first_row + row) * params.columns + column] = sum;
}
