alias RowState = vec4<u32>;

fn row_state(row: u32) -> RowState {
    let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.m - 1u));
    return (rows + params.first_row) * params.k;
}

fn load_a(row: RowState, k: u32) -> vec4<f32> {
    return vec4<f32>(x[row.x + k], x[row.y + k], x[row.z + k], x[row.w + k]);
}

fn column_state(column: u32) -> vec4<u32> {
    let columns = min(vec4<u32>(column, column + 1u, column + 2u, column + 3u), vec4<u32>(params.n - 1u));
    let rows = columns + params.first_weight_row;
    return vec4<u32>(weight_row(rows.x), weight_row(rows.y), weight_row(rows.z), weight_row(rows.w));
}

fn load_b(column: vec4<u32>, k: u32) -> vec4<f32> {
    return vec4<f32>(load_weight(column.x, k), load_weight(column.y, k), load_weight(column.z, k), load_weight(column.w, k));
}

//#include gemm
