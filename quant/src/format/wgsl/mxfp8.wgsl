// Elements and an exponent for each 32, in whole words.
fn weight_row(row: u32) -> u32 {
    return row * ((params.k / 32u * 33u + 3u) / 4u);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let scale = bitcast<f32>(weight_u8(row * 4u + params.k + k / 32u) << 23u);
    return weight_f8(weight_bytes(weight[row + k / 4u])) * scale;
}
