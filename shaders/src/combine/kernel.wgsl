//#include common

struct Params {
    count: u32,
    first: u32,
    inputs: u32,
    pad0: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> coefficients: array<f32>;
@group(0) @binding(2) var<storage, read_write> a: array<f32>;
@group(0) @binding(3) var<storage, read_write> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;
@group(0) @binding(5) var<storage, read_write> d: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = flat(group) * 256u + thread;
    if i >= params.count {
        return;
    }
    let index = params.first + i;
    var sum = coefficients[0] * a[index];
    if params.inputs > 1u {
        sum += coefficients[1] * b[index];
    }
    if params.inputs > 2u {
        sum += coefficients[2] * c[index];
    }
    if params.inputs > 3u {
        sum += coefficients[3] * d[index];
    }
    out[index] = sum;
}
