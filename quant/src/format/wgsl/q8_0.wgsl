//#include bytes

// Scale, elements; rows in bytes.
fn weight_row(row: u32) -> u32 {
    return row * (params.k / 32u * 34u);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let at = row + k / 32u * 34u;
    return weight_signed_bytes(weight_u32(at + 2u + (k & 31u))) * weight_f16(at);
}
