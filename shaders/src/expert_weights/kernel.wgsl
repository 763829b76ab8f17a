//#include common

struct Params {
    rows: u32,
    columns: u32,
    k: u32,
    first_row: u32,
    scale: f32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = flat(group) * 64u + thread;
    if i >= params.rows {
        return;
    }
    let row = (params.first_row + i) * params.columns;
    let place = (params.first_row + i) * params.k;
    var highest = LOWEST;
    var sum = 0.0;
    if SOFTMAX {
        for (var c = 0u; c < params.columns; c++) {
            highest = max(highest, logits[row + c]);
        }
        for (var c = 0u; c < params.columns; c++) {
            sum += exp_below(logits[row + c] - highest);
        }
    }
    if SOFTMAX_OF_CHOSEN {
        for (var n = 0u; n < params.k; n++) {
            highest = max(highest, logits[row + min(ids[place + n], params.columns - 1u)]);
        }
        for (var n = 0u; n < params.k; n++) {
            sum += exp_below(logits[row + min(ids[place + n], params.columns - 1u)] - highest);
        }
    }
    var total = 0.0;
    for (var n = 0u; n < params.k; n++) {
        let x = logits[row + min(ids[place + n], params.columns - 1u)];
        var y = 1.0 / (1.0 + exp(-max(x, -87.0)));
        if SOFTMAX || SOFTMAX_OF_CHOSEN {
            y = exp_below(x - highest) / sum;
        }
        total += y;
        out[place + n] = y;
    }
    if !NORMALIZE {
        total = 1.0;
    }
    for (var n = 0u; n < params.k; n++) {
        out[place + n] = out[place + n] / total * params.scale;
    }
}
