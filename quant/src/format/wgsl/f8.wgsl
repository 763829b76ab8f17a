fn weight_row(row: u32) -> u32 {
    return row * params.k;
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    return weight_f8(weight_bytes(weight_u32(row + k)));
}
