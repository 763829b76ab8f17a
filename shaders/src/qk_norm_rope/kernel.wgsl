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
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> cosines: array<f32>;
@group(0) @binding(4) var<storage, read_write> sines: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % LANES;
    let local_row = flat(group) * (256u / LANES) + thread / LANES;
    // Rows beyond the end repeat the last one and store nothing.
    let row = params.first_row + min(local_row, params.rows - 1u);
    let columns = params.heads * params.head_dim;
    let place = row * columns;
    var squares = 0.0;
    for (var i = lane; i < columns; i += LANES) {
        let v = x[place + i];
        squares += v * v;
    }
    let factor = 1.0 / sqrt(sum_lanes(thread, squares) / f32(columns) + params.eps);
    if local_row >= params.rows {
        return;
    }
    let half = params.head_dim / 2u;
    for (var pair = lane; pair < columns / 2u; pair += LANES) {
        let i = pair * 2u;
        let a = x[place + i] * factor * scale[i];
        let b = x[place + i + 1u] * factor * scale[i + 1u];
        let angle = row * half + pair % half;
        let c = cosines[angle];
        let s = sines[angle];
        out[place + i] = a * c - b * s;
        out[place + i + 1u] = a * s + b * c;
    }
}
