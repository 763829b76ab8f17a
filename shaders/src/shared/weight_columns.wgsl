// Rows of a weight as columns of a product. The kernel gives `first_weight()`: the row of column 0, and `first_k()`: the
// element of step 0.
//#include weight

fn column_state(column: u32) -> u32 {
    return weight_row(min(column, params.n - 1u) + first_weight());
}

// Elements of `step` and the three behind it; zero from params.k on, whatever lies there.
fn load_b(row: u32, step: u32) -> vec4<f32> {
    let k = first_k() + step;
    let within = vec4<u32>(k, k + 1u, k + 2u, k + 3u) < vec4<u32>(params.k);
    return select(vec4<f32>(), load_weight4(row, k), within);
}
