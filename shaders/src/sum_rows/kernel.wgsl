//#include common

struct Params {
    rows: u32,
    width: u32,
    block: u32,
    first_row: u32,
    out_row: u32,
    factor: f32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let width = params.width / 4u;
    let column = group.x * 64u + thread;
    if column >= width {
        return;
    }
    let first = group.y * params.block;
    let count = min(params.block, params.rows - first);
    let place = (params.first_row + first) * width + column;
    var sum = vec4<f32>();
    for (var row = 0u; row < count; row++) {
        sum += x[place + row * width];
    }
    out[(params.out_row + group.y) * width + column] = sum * params.factor;
}
