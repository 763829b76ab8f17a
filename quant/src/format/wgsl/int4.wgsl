//#include bytes

// Elements, then a scale and an offset for each 64, in whole words.
fn weight_row(row: u32) -> u32 {
    return row * (params.k / 64u * 9u);
}

fn weight_factor(at: u32) -> f32 {
    if WEIGHT_BF16 {
        return bitcast<f32>(weight_u16(at) << 16u);
    }
    return weight_f16(at);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let groups = params.k / 64u;
    let at = row * 4u + params.k / 2u + k / 64u * 2u;
    let codes = (vec4<u32>(weight[row + k / 8u] >> ((k & 4u) * 4u)) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
    return (vec4<f32>(codes) - 8.0) * weight_factor(at) + weight_factor(at + groups * 2u);
}
