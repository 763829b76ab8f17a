//#include common
//#include activation
//#include reduce

struct Params {
    rows: u32,
    columns: u32,
    first_row: u32,
    flags: u32,
    shift_column: u32,
    scale_column: u32,
    table_stride: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> table: array<f32>;
@group(0) @binding(5) var<storage, read_write> rows: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % LANES;
    let local_row = flat(group) * (256u / LANES) + thread / LANES;
    // Rows beyond the end repeat the last one and store nothing.
    let row = params.first_row + min(local_row, params.rows - 1u);
    let place = row * params.columns;
    let count = f32(params.columns);

    // Mean first, then the squares around it.
    var mean = 0.0;
    if LAYER {
        var sum = 0.0;
        for (var i = lane; i < params.columns; i += LANES) {
            sum += x[place + i];
        }
        mean = sum_lanes(thread, sum) / count;
    }
    var squares = 0.0;
    for (var i = lane; i < params.columns; i += LANES) {
        let d = x[place + i] - mean;
        squares += d * d;
    }
    squares = sum_lanes(thread, squares);
    var factor = 1.0 / sqrt(squares / count + params.eps);
    if L2 {
        factor = sqrt(count) / max(sqrt(squares), params.eps);
    }

    if local_row >= params.rows {
        return;
    }
    var table_row = 0u;
    if (params.flags & HAS_ROWS) != 0u {
        table_row = rows[row];
    }
    table_row *= params.table_stride;
    for (var i = lane; i < params.columns; i += LANES) {
        var y = (x[place + i] - mean) * factor;
        if (params.flags & HAS_WEIGHT) != 0u {
            y *= scale[i];
        }
        if (params.flags & HAS_BIAS) != 0u {
            y += bias[i];
        }
        if (params.flags & HAS_TABLE) != 0u {
            y = y * (1.0 + table[table_row + params.scale_column + i]) + table[table_row + params.shift_column + i];
        }
        out[place + i] = activate(vec4<f32>(y)).x;
    }
}
