//#include common
//#include numbers

struct Params {
    m: u32,
    n: u32,
    k: u32,
    alpha: f32,
    a_offset: u32,
    a_stride: u32,
    b_offset: u32,
    b_stride: u32,
    out_offset: u32,
    out_stride: u32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

alias RowState = vec4<u32>;

fn row_state(row: u32) -> RowState {
    let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.m - 1u));
    return rows * params.a_stride + params.a_offset;
}

fn load_a(row: RowState, k: u32) -> vec4<f32> {
    return vec4<f32>(a[row.x + k], a[row.y + k], a[row.z + k], a[row.w + k]);
}

fn column_state(column: u32) -> vec4<u32> {
    let columns = min(vec4<u32>(column, column + 1u, column + 2u, column + 3u), vec4<u32>(params.n - 1u));
    return columns * select(params.b_stride, 1u, B_COLUMNS_FIRST) + params.b_offset;
}

fn load_b(column: vec4<u32>, k: u32) -> vec4<f32> {
    let i = column + k * select(1u, params.b_stride, B_COLUMNS_FIRST);
    return vec4<f32>(b[i.x], b[i.y], b[i.z], b[i.w]);
}

fn store(row: u32, column: u32, y: vec4<f32>) {
    let place = params.out_offset + row * params.out_stride + column;
    for (var i = 0u; i < min(4u, params.n - column); i++) {
        out[place + i] = params.alpha * y[i];
    }
}

//#include all_rows
//#include gemm
