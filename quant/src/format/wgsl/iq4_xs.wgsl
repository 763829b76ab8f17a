// Scale, high bits of the groups' scales, low bits of them, elements; rows in bytes.
fn weight_row(row: u32) -> u32 {
    return row * (params.k / 256u * 136u);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let at = row + k / 256u * 136u;
    let group = (k & 255u) / 32u;
    let high = (weight_u16(at + 2u) >> (group * 2u)) & 3u;
    let low = (weight_u8(at + 4u + group / 2u) >> ((group & 1u) * 4u)) & 15u;
    let scale = weight_f16(at) * (f32(low | (high << 4u)) - 32.0);
    return scale * weight_group(at + 8u + group * 16u, k & 31u);
}
