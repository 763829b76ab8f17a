//#include bytes

// Low bits, high bits, scales of groups of 16, the scale of all; rows in bytes.
fn weight_row(row: u32) -> u32 {
    return row * (params.k / 256u * 210u);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let at = row + k / 256u * 210u;
    let i = k & 255u;
    let scale = weight_f16(at + 208u) * weight_signed_bytes(weight_u8(at + 192u + i / 16u)).x;
    // Two elements 64 apart share a byte of low bits, four 32 apart one of high bits.
    let low = weight_bytes(weight_u32(at + i / 128u * 64u + (i & 63u)) >> ((i & 64u) / 16u)) & vec4<u32>(15u);
    let high = weight_bytes(weight_u32(at + 128u + i / 128u * 32u + (i & 31u)) >> ((i & 96u) / 16u)) & vec4<u32>(3u);
    return scale * (vec4<f32>(low | (high << vec4<u32>(4u))) - 32.0);
}
