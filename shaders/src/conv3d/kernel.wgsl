//#include common
//#include numbers
//#include all_k
//#include held_a
//#include held_b
//#include weight_columns
//#include first_weight

struct Params {
    m: u32,
    n: u32,
    k: u32,
    first_row: u32,
    first_weight_row: u32,
    first_column: u32,
    out_stride: u32,
    flags: u32,
    // frames of the cache, frames of x, height, width
    input: vec4<u32>,
    // height, width
    output: vec4<u32>,
    // time, height, width, channels
    kernel: vec4<u32>,
    stride: vec4<u32>,
    padding: vec4<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> cache: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> residual: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

// Time, height, width and element (counted from the cache's first) of an input voxel: that of the first tap, outside of
// the input where the padding is.
alias RowState = vec4<i32>;

fn row_state(row: u32) -> RowState {
    let voxel = min(row, params.m - 1u) + params.first_row;
    let line = voxel / params.output.y;
    let place = vec3<u32>(line / params.output.x, line % params.output.x, voxel % params.output.y);
    return with_element(vec3<i32>(place * params.stride.xyz) - vec3<i32>(params.padding.xyz), 0);
}

fn with_element(at: vec3<i32>, channel: i32) -> vec4<i32> {
    let size = vec4<i32>(params.input);
    return vec4<i32>(at, ((at.x * size.z + at.y) * size.w + at.z) * i32(params.kernel.w) + channel);
}

// a / b, right for a below 2^20: integers are divided by many instructions.
fn quotient(a: u32, b: u32) -> u32 {
    return u32((f32(a) + 0.5) / f32(b));
}

// From the first tap to that of element k.
fn tap(k: u32) -> vec4<i32> {
    let tap = quotient(k, params.kernel.w);
    let line = quotient(tap, params.kernel.z);
    let time = quotient(line, params.kernel.y);
    let at = vec3<u32>(time, line - time * params.kernel.y, tap - line * params.kernel.z);
    return with_element(vec3<i32>(at), i32(k - tap * params.kernel.w));
}

// The element of a voxel, BY_FOURS that and the three behind it. What lies outside is read somewhere and becomes 0.
fn load_voxel(voxel: vec4<i32>) -> vec4<f32> {
    let size = params.input;
    let inside = all(vec3<u32>(voxel.xyz) < vec3<u32>(size.x + size.y, size.zw));
    let cached = voxel.x < i32(size.x);
    let before = size.x * size.z * size.w * params.kernel.w;
    let element = u32(voxel.w) - select(before, 0u, cached);
    var v = x[select(0u, element / 4u, inside && !cached)];
    if inside && cached {
        v = cache[element / 4u];
    }
    if !BY_FOURS {
        v.x = v[element % 4u];
    }
    return select(vec4<f32>(), v, inside);
}

fn load_a(first: RowState, k: u32) -> vec4<f32> {
    if BY_FOURS {
        return load_voxel(first + tap(k));
    }
    var v = vec4<f32>();
    for (var i = 0u; i < min(4u, params.k - k); i++) {
        v[i] = load_voxel(first + tap(k + i)).x;
    }
    return v;
}

fn store(local_row: u32, local_column: u32, y: vec4<f32>) {
    let column = params.first_column + local_column;
    let place = (params.first_row + local_row) * params.out_stride + column;
    for (var i = 0u; i < min(4u, params.n - local_column); i++) {
        var value = y[i];
        if (params.flags & HAS_BIAS) != 0u {
            value += bias[column + i];
        }
        if (params.flags & HAS_RESIDUAL) != 0u {
            value += residual[place + i];
        }
        out[place + i] = value;
    }
}

//#include all_rows
//#include gemm
