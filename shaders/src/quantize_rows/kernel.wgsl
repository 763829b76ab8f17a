//#include common

struct Params {
    rows: u32,
    k: u32,
    first_row: u32,
    pad0: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

// What is rotated at a time: whole groups, four elements an invocation.
const PART: u32 = 1024u;
var<workgroup> part: array<f32, PART>;

fn element(row: u32, k: u32) -> f32 {
    if k < params.k {
        return x[row * params.k + k];
    }
    return 0.0;
}

// One factor of the rotation's matrix. Adds in the order of the plain version: the bits are the same.
fn mix4(v: vec4<f32>) -> vec4<f32> {
    let sum = v.xz + v.yw;
    let less = v.xz - v.yw;
    return 0.5 * vec4<f32>(sum.x + less.y, sum.x - less.y, less.x + sum.y, sum.y - less.x);
}

// Where the invocation's elements of a step lie: four, `stride` apart.
fn place_of(thread: u32, stride: u32) -> vec4<u32> {
    return thread / stride * 4u * stride + thread % stride + vec4<u32>(0u, stride, 2u * stride, 3u * stride);
}

// Elements `first` + 4 `thread` and the three behind, rotated; zero past the row. All invocations call it together.
fn rotated(row: u32, first: u32, thread: u32) -> vec4<f32> {
    var place = place_of(thread, max(GROUP / 4u, 1u));
    let k = place + first;
    var v = vec4<f32>(element(row, k.x), element(row, k.y), element(row, k.z), element(row, k.w));
    if GROUP > 1u {
        // The last part was read to its end.
        workgroupBarrier();
        for (var stride = GROUP / 4u; stride > 1u; stride /= 4u) {
            v = mix4(v);
            part[place.x] = v.x;
            part[place.y] = v.y;
            part[place.z] = v.z;
            part[place.w] = v.w;
            workgroupBarrier();
            place = place_of(thread, stride / 4u);
            v = vec4<f32>(part[place.x], part[place.y], part[place.z], part[place.w]);
        }
        v = mix4(v);
    }
    return v;
}

//#include body
