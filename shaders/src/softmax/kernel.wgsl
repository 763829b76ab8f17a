//#include common
//#include reduce

struct Params {
    rows: u32,
    columns: u32,
    first_row: u32,
    flags: u32,
    first_bias: u32,
    bias_stride: u32,
    first_query: u32,
    first_block: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> blocks: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

// Whether an element counts, of a row that is computed.
fn seen(row: u32, column: u32) -> bool {
    if (params.flags & HAS_BLOCKS) == 0u {
        return true;
    }
    let across = (params.columns + BLOCK - 1u) / BLOCK;
    return blocks[params.first_block + (params.first_query + row) / BLOCK * across + column / BLOCK] != 0.0;
}

// The element with what is added to it: a finite number.
fn score(row: u32, column: u32) -> f32 {
    if !seen(row, column) {
        return LOWEST;
    }
    var s = x[(params.first_row + row) * params.columns + column];
    if (params.flags & HAS_BIAS) != 0u {
        s += bias[params.first_bias + (column * params.bias_stride - row * params.bias_stride)];
    }
    if (params.flags & HAS_MASK) != 0u {
        s += mask[column];
    }
    return clamp(s, LOWEST, -LOWEST);
}

// Its part of the sum.
fn part(row: u32, column: u32, highest: f32) -> f32 {
    return select(0.0, exp_below(score(row, column) - highest), seen(row, column));
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = min(flat(group), params.rows - 1u);
    var highest = LOWEST;
    for (var i = lane; i < params.columns; i += LANES) {
        highest = max(highest, score(row, i));
    }
    highest = max_lanes(0u, lane, highest);
    var sum = 0.0;
    for (var i = lane; i < params.columns; i += LANES) {
        sum += part(row, i, highest);
    }
    sum = max(sum_lanes(1u, lane, sum), LEAST_SUM);
    if flat(group) >= params.rows {
        return;
    }
    for (var i = lane; i < params.columns; i += LANES) {
        out[(params.first_row + row) * params.columns + i] = part(row, i, highest) / sum;
    }
}
