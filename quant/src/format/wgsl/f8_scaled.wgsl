// Elements and the scale, in whole words.
fn weight_row(row: u32) -> u32 {
    return row * ((params.k + 7u) / 4u);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let scale = bitcast<f32>(weight_u32(row * 4u + params.k));
    return weight_f8(weight_bytes(weight[row + k / 4u])) * scale;
}
