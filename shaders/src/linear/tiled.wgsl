alias RowState = u32;

fn row_state(row: u32) -> u32 {
    return (min(row, params.m - 1u) + params.first_row) * x_stride() + first_k();
}

fn load_a(row: u32, k: u32) -> vec4<Number> {
    return load_x(row, k);
}

//#include gemm
