alias RowState = vec4<u32>;

fn row_state(row: u32) -> RowState {
    let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.m - 1u));
    return (rows + params.first_row) * x_stride();
}

fn load_a(row: RowState, k: u32) -> vec4<Number> {
    return vec4<Number>(x[row.x + k], x[row.y + k], x[row.z + k], x[row.w + k]);
}

//#include all_rows
//#include gemm
