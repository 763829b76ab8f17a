//#include bytes

// High bits, low bits, scales of groups of 16, the scale of all; rows in bytes.
fn weight_row(row: u32) -> u32 {
    return row * (params.k / 256u * 110u);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let at = row + k / 256u * 110u;
    let i = k & 255u;
    let group = i / 16u;
    let low_scale = (weight_u8(at + 96u + (group & 7u)) >> (group / 8u * 4u)) & 15u;
    let high_scale = (weight_u8(at + 104u + (group & 3u)) >> (group / 4u * 2u)) & 3u;
    let scale = weight_f16(at + 108u) * (f32(low_scale | (high_scale << 4u)) - 32.0);
    // Four elements 32 apart share a byte of low bits, eight one of high bits.
    let low = weight_bytes(weight_u32(at + 32u + i / 128u * 32u + (i & 31u)) >> ((i & 96u) / 16u)) & vec4<u32>(3u);
    let high = weight_bytes(weight_u32(at + (i & 31u)) >> (i / 32u)) & vec4<u32>(1u);
    return scale * (vec4<f32>(low | (high << vec4<u32>(2u))) - 4.0);
}
