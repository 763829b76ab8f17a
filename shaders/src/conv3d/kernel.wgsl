//#include common
//#include weight

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

// Where the kernel's first tap of four output voxels lies in the input; outside of it where the padding is.
struct RowState {
    t: vec4<i32>,
    y: vec4<i32>,
    x: vec4<i32>,
}

fn row_state(row: u32) -> RowState {
    let voxel = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.m - 1u)) + params.first_row;
    let line = voxel / params.output.y;
    let stride = params.stride;
    let padding = vec4<i32>(params.padding);
    return RowState(
        vec4<i32>(line / params.output.x * stride.x) - padding.x,
        vec4<i32>(line % params.output.x * stride.y) - padding.y,
        vec4<i32>(voxel % params.output.y * stride.z) - padding.z,
    );
}

fn load_voxel(t: i32, y: i32, x_: i32, channel: u32) -> f32 {
    let size = vec4<i32>(params.input);
    if t < 0 || y < 0 || x_ < 0 || y >= size.z || x_ >= size.w || t >= size.x + size.y {
        return 0.0;
    }
    let place = u32(y * size.w + x_) * params.kernel.w + channel;
    let frame = params.input.z * params.input.w * params.kernel.w;
    if t < size.x {
        return cache[u32(t) * frame + place];
    }
    return x[u32(t - size.x) * frame + place];
}

fn load_a(row: RowState, k: u32) -> vec4<f32> {
    let tap = k / params.kernel.w;
    let channel = k % params.kernel.w;
    let line = tap / params.kernel.z;
    let dx = i32(tap % params.kernel.z);
    let dy = i32(line % params.kernel.y);
    let dt = i32(line / params.kernel.y);
    return vec4<f32>(
        load_voxel(row.t.x + dt, row.y.x + dy, row.x.x + dx, channel),
        load_voxel(row.t.y + dt, row.y.y + dy, row.x.y + dx, channel),
        load_voxel(row.t.z + dt, row.y.z + dy, row.x.z + dx, channel),
        load_voxel(row.t.w + dt, row.y.w + dy, row.x.w + dx, channel),
    );
}

fn column_state(column: u32) -> vec4<u32> {
    let columns = min(vec4<u32>(column, column + 1u, column + 2u, column + 3u), vec4<u32>(params.n - 1u));
    let rows = columns + params.first_weight_row;
    return vec4<u32>(weight_row(rows.x), weight_row(rows.y), weight_row(rows.z), weight_row(rows.w));
}

fn load_b(column: vec4<u32>, k: u32) -> vec4<f32> {
    return vec4<f32>(load_weight(column.x, k), load_weight(column.y, k), load_weight(column.z, k), load_weight(column.w, k));
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

//#include gemm
