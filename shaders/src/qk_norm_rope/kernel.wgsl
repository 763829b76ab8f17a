//#include common
//#include reduce

struct Params {
    rows: u32,
    first_row: u32,
    heads: u32,
    head_dim: u32,
    eps: f32,
    operands: u32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x0: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> x1: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> scale0: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> scale1: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> cosines: array<f32>;
@group(0) @binding(6) var<storage, read_write> sines: array<f32>;
@group(0) @binding(7) var<storage, read_write> out0: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> out1: array<vec2<f32>>;

// Each layer of the grid has an operand of its own.
fn load(operand: u32, place: u32) -> vec2<f32> {
    if operand == 0u {
        return x0[place];
    }
    return x1[place];
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % LANES;
    let local_row = flat(group) * (SIZE / LANES) + thread / LANES;
    // Rows beyond the end repeat the last one and store nothing.
    let row = params.first_row + min(local_row, params.rows - 1u);
    let pairs = params.heads * params.head_dim / 2u;
    let place = row * pairs;

    // The first pairs are read once and stay in registers.
    var squares = vec2<f32>();
    //#repeat $i HELD
    let i$i = lane + $iu * LANES;
    var x$i = vec2<f32>();
    if i$i < pairs {
        x$i = load(group.z, place + i$i);
    }
    squares += x$i * x$i;
    //#end
    for (var i = lane + HELD * LANES; i < pairs; i += LANES) {
        let v = load(group.z, place + i);
        squares += v * v;
    }
    let square = sum_lanes(0u, thread, squares.x + squares.y);
    let factor = 1.0 / sqrt(square / (2.0 * f32(pairs)) + params.eps);
    if local_row >= params.rows {
        return;
    }
    //#repeat $i HELD
    if i$i < pairs {
        store(group.z, row, i$i, x$i * factor);
    }
    //#end
    for (var i = lane + HELD * LANES; i < pairs; i += LANES) {
        store(group.z, row, i, load(group.z, place + i) * factor);
    }
}

fn store(operand: u32, row: u32, pair: u32, normed: vec2<f32>) {
    let half = params.head_dim / 2u;
    var v = normed;
    if operand == 0u {
        v *= scale0[pair];
    } else {
        v *= scale1[pair];
    }
    let angle = row * half + pair % half;
    let c = cosines[angle];
    let s = sines[angle];
    let rotated = vec2<f32>(v.x * c - v.y * s, v.x * s + v.y * c);
    let place = row * params.heads * half + pair;
    if operand == 0u {
        out0[place] = rotated;
    } else {
        out1[place] = rotated;
    }
}
