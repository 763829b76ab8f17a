// Rows of a weight as columns of a product. The kernel gives `first_weight()`: the row of column 0.
//#include weight

fn column_state(column: u32) -> vec4<u32> {
    let columns = min(vec4<u32>(column, column + 1u, column + 2u, column + 3u), vec4<u32>(params.n - 1u));
    let rows = columns + first_weight();
    return vec4<u32>(weight_row(rows.x), weight_row(rows.y), weight_row(rows.z), weight_row(rows.w));
}

fn load_b(column: vec4<u32>, k: u32) -> vec4<f32> {
    return vec4<f32>(load_weight(column.x, k), load_weight(column.y, k), load_weight(column.z, k), load_weight(column.w, k));
}

// Elements k to k + 3; zero from params.k on, whatever lies there.
fn weight4(row: u32, k: u32) -> vec4<f32> {
    if k + 4u <= params.k {
        return load_weight4(row, k);
    }
    var w = vec4<f32>();
    for (var i = 0u; k + i < params.k; i++) {
        w[i] = load_weight(row, k + i);
    }
    return w;
}
