//#include common
//#include activation

struct Params {
    count: u32,
    first: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = flat(group) * 256u + thread;
    if i >= params.count {
        return;
    }
    let value = x[params.first + i];
    if CLAMP {
        out[params.first + i] = min(max(value, params.low), params.high);
    } else {
        out[params.first + i] = activate(vec4<f32>(value)).x;
    }
}
