//#include common
//#include numbers
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
@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> cache: array<f32>;
@group(0) @binding(4) var<storage, read_write> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> residual: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

// Where the kernel's first tap of an output voxel lies in the input (t, y, x); outside of it where the padding is.
alias RowState = vec3<i32>;

fn row_state(row: u32) -> RowState {
    let voxel = min(row, params.m - 1u) + params.first_row;
    let line = voxel / params.output.y;
    let place = vec3<u32>(line / params.output.x, line % params.output.x, voxel % params.output.y);
    return vec3<i32>(place * params.stride.xyz) - vec3<i32>(params.padding.xyz);
}

// Element k of the taps of a voxel: four of them where they are of one tap, else one.
fn load_taps(first: RowState, k: u32, four: bool) -> vec4<f32> {
    let tap = k / params.kernel.w;
    let line = tap / params.kernel.z;
    let at = first + vec3<i32>(vec3<u32>(line / params.kernel.y, line % params.kernel.y, tap % params.kernel.z));
    let size = vec4<i32>(params.input);
    if any(at < vec3<i32>()) || at.x >= size.x + size.y || at.y >= size.z || at.z >= size.w {
        return vec4<f32>();
    }
    let cached = at.x < size.x;
    let frame = u32(at.x - select(size.x, 0, cached)) * params.input.z;
    let i = ((frame + u32(at.y)) * params.input.w + u32(at.z)) * params.kernel.w + k % params.kernel.w;
    var v = vec4<f32>();
    if cached {
        v.x = cache[i];
        if four {
            v = vec4<f32>(v.x, cache[i + 1u], cache[i + 2u], cache[i + 3u]);
        }
    } else {
        v.x = x[i];
        if four {
            v = vec4<f32>(v.x, x[i + 1u], x[i + 2u], x[i + 3u]);
        }
    }
    return v;
}

fn load_a(first: RowState, k: u32) -> vec4<f32> {
    if params.kernel.w % 4u == 0u {
        return load_taps(first, k, true);
    }
    var v = vec4<f32>();
    for (var i = 0u; i < min(4u, params.k - k); i++) {
        v[i] = load_taps(first, k + i, false).x;
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
