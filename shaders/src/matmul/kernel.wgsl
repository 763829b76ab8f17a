//#include common
//#include numbers
//#include all_k
//#include held_a
//#include held_b

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

alias RowState = u32;

fn row_state(row: u32) -> u32 {
    return min(row, params.m - 1u) * params.a_stride + params.a_offset;
}

fn load_a(row: u32, k: u32) -> vec4<f32> {
    if k + 4u <= params.k {
        return vec4<f32>(a[row + k], a[row + k + 1u], a[row + k + 2u], a[row + k + 3u]);
    }
    var v = vec4<f32>();
    for (var i = 0u; k + i < params.k; i++) {
        v[i] = a[row + k + i];
    }
    return v;
}

fn column_state(column: u32) -> u32 {
    return min(column, params.n - 1u) * select(params.b_stride, 1u, B_COLUMNS_FIRST) + params.b_offset;
}

fn load_b(column: u32, k: u32) -> vec4<f32> {
    let step = select(1u, params.b_stride, B_COLUMNS_FIRST);
    let i = column + k * step;
    if k + 4u <= params.k {
        return vec4<f32>(b[i], b[i + step], b[i + 2u * step], b[i + 3u * step]);
    }
    var v = vec4<f32>();
    for (var j = 0u; k + j < params.k; j++) {
        v[j] = b[i + j * step];
    }
    return v;
}

fn store(row: u32, column: u32, y: vec4<f32>) {
    let place = params.out_offset + row * params.out_stride + column;
    for (var i = 0u; i < min(4u, params.n - column); i++) {
        out[place + i] = params.alpha * y[i];
    }
}

//#include all_rows
//#include gemm
