// Elements, a scale for each 16 and the tensor's scale, in whole words.
fn weight_row(row: u32) -> u32 {
    return row * ((params.k / 16u * 9u + 7u) / 4u);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let scales = row * 4u + params.k / 2u;
    let tensor_scale = bitcast<f32>(weight_u32(scales + params.k / 16u));
    let scale = tensor_scale * weight_f8(vec4<u32>(weight_u8(scales + k / 16u))).x;
    // The first element of a byte is in its high half.
    let codes = vec4<u32>(weight[row + k / 8u] >> ((k & 4u) * 4u)) >> vec4<u32>(4u, 0u, 12u, 8u);
    return with_sign(minifloat(codes & vec4<u32>(7u), 1u, 1u), codes & vec4<u32>(8u)) * scale;
}
