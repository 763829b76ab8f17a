//#include common
//#include reduce

struct Params {
    rows: u32,
    first_row: u32,
    heads: u32,
    head_dim: u32,
    eps: f32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> scale: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> cosines: array<f32>;
@group(0) @binding(4) var<storage, read_write> sines: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec2<f32>>;

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
        x$i = x[place + i$i];
    }
    squares += x$i * x$i;
    //#end
    for (var i = lane + HELD * LANES; i < pairs; i += LANES) {
        let v = x[place + i];
        squares += v * v;
    }
    let square = sum_lanes(0u, thread, squares.x + squares.y);
    let factor = 1.0 / sqrt(square / (2.0 * f32(pairs)) + params.eps);
    if local_row >= params.rows {
        return;
    }
    //#repeat $i HELD
    if i$i < pairs {
        store(row, i$i, x$i * factor);
    }
    //#end
    for (var i = lane + HELD * LANES; i < pairs; i += LANES) {
        store(row, i, x[place + i] * factor);
    }
}

fn store(row: u32, pair: u32, normed: vec2<f32>) {
    let half = params.head_dim / 2u;
    let v = normed * scale[pair];
    let angle = row * half + pair % half;
    let c = cosines[angle];
    let s = sines[angle];
    out[row * params.heads * half + pair] = vec2<f32>(v.x * c - v.y * s, v.x * s + v.y * c);
}
