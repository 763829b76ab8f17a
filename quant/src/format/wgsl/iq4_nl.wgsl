// Scale, elements; rows in bytes.
fn weight_row(row: u32) -> u32 {
    return row * (params.k / 32u * 18u);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let at = row + k / 32u * 18u;
    return weight_f16(at) * weight_group(at + 2u, k & 31u);
}
