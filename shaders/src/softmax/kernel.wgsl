//#include common
//#include reduce

struct Params {
    rows: u32,
    columns: u32,
    first_row: u32,
    pad0: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = flat(group);
    let place = (params.first_row + min(row, params.rows - 1u)) * params.columns;
    var highest = LOWEST;
    for (var i = lane; i < params.columns; i += LANES) {
        highest = max(highest, x[place + i]);
    }
    highest = max_lanes(0u, lane, highest);
    var sum = 0.0;
    for (var i = lane; i < params.columns; i += LANES) {
        sum += exp_below(x[place + i] - highest);
    }
    sum = sum_lanes(1u, lane, sum);
    if row >= params.rows {
        return;
    }
    for (var i = lane; i < params.columns; i += LANES) {
        out[place + i] = exp_below(x[place + i] - highest) / sum;
    }
}
