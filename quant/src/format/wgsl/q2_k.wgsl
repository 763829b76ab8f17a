//#include bytes

// Scales and minima of groups of 16, elements, scale and minimum of all; rows in words.
fn weight_row(row: u32) -> u32 {
    return row * (params.k / 256u * 21u);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let at = row + k / 256u * 21u;
    let i = k & 255u;
    let factors = unpack2x16float(weight[at + 20u]);
    let group = weight_u8(at * 4u + i / 16u);
    // Four elements 32 apart share a byte.
    let codes = weight_bytes(weight[at + 4u + i / 128u * 8u + (i & 31u) / 4u] >> ((i & 96u) / 16u)) & vec4<u32>(3u);
    return factors.x * f32(group & 15u) * vec4<f32>(codes) - factors.y * f32(group >> 4u);
}
