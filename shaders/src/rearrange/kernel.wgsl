//#include common

struct Params {
    count: u32,
    first: u32,
    out_offset: u32,
    offset: u32,
    kept: u32,
    axes: u32,
    averaged: u32,
    pad0: u32,
    sizes: array<vec4<u32>, 2>,
    strides: array<vec4<u32>, 2>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// Where the element `index`, counted over the axes first..end, lies relative to the first.
fn place(index: u32, first: u32, end: u32) -> u32 {
    var rest = index;
    var sum = 0u;
    for (var axis = end; axis > first; axis--) {
        let a = axis - 1u;
        let size = params.sizes[a / 4u][a % 4u];
        sum += rest % size * params.strides[a / 4u][a % 4u];
        rest /= size;
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = flat(group) * 256u + thread;
    if i >= params.count {
        return;
    }
    let index = params.first + i;
    let start = params.offset + place(index, 0u, params.kept);
    var value = 0.0;
    if params.averaged == 1u {
        value = x[start];
    } else {
        for (var j = 0u; j < params.averaged; j++) {
            value += x[start + place(j, params.kept, params.axes)];
        }
        value /= f32(params.averaged);
    }
    out[params.out_offset + index] = value;
}
