//#include common
//#include activation
//#include part
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
@group(0) @binding(1) var<storage, read_write> x: array<Part>;
@group(0) @binding(2) var<storage, read_write> scale: array<Part>;
@group(0) @binding(3) var<storage, read_write> bias: array<Part>;
@group(0) @binding(4) var<storage, read_write> table: array<Part>;
@group(0) @binding(5) var<storage, read_write> rows: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<Part>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % LANES;
    let local_row = flat(group) * (SIZE / LANES) + thread / LANES;
    // Rows beyond the end repeat the last one and store nothing.
    let row = params.first_row + min(local_row, params.rows - 1u);
    let parts = params.columns / WIDTH;
    let place = row * parts;
    let count = f32(params.columns);

    // The first parts are read once and stay in registers.
    //#repeat $i HELD
    let i$i = lane + $iu * LANES;
    var x$i = Part();
    if i$i < parts {
        x$i = x[place + i$i];
    }
    //#end

    // Mean first, then the squares around it.
    var mean = 0.0;
    if LAYER {
        var sum = Part();
        //#repeat $i HELD
        sum += x$i;
        //#end
        for (var i = lane + HELD * LANES; i < parts; i += LANES) {
            sum += x[place + i];
        }
        mean = sum_lanes(0u, thread, total(sum)) / count;
    }
    var squares = Part();
    //#repeat $i HELD
    x$i -= mean;
    if i$i < parts {
        squares += x$i * x$i;
    }
    //#end
    for (var i = lane + HELD * LANES; i < parts; i += LANES) {
        let d = x[place + i] - mean;
        squares += d * d;
    }
    let square = sum_lanes(1u, thread, total(squares));
    var factor = 1.0 / sqrt(square / count + params.eps);
    if L2 {
        factor = sqrt(count) / max(sqrt(square), params.eps);
    }

    if local_row >= params.rows {
        return;
    }
    var table_row = 0u;
    if (params.flags & HAS_ROWS) != 0u {
        table_row = rows[row];
    }
    let shift = (table_row * params.table_stride + params.shift_column) / WIDTH;
    let gain = (table_row * params.table_stride + params.scale_column) / WIDTH;
    //#repeat $i HELD
    if i$i < parts {
        store(place, i$i, x$i * factor, shift, gain);
    }
    //#end
    for (var i = lane + HELD * LANES; i < parts; i += LANES) {
        store(place, i, (x[place + i] - mean) * factor, shift, gain);
    }
}

fn store(place: u32, i: u32, normed: Part, shift: u32, gain: u32) {
    var y = normed;
    if (params.flags & HAS_WEIGHT) != 0u {
        y *= scale[i];
    }
    if (params.flags & HAS_BIAS) != 0u {
        y += bias[i];
    }
    if (params.flags & HAS_TABLE) != 0u {
        y = y * (1.0 + table[gain + i]) + table[shift + i];
    }
    out[place + i] = activate_part(y);
}
