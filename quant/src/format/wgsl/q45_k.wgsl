//#include bytes

// Scale and minimum of all, those of groups of 32, fifth bits, low bits; rows in words.
const WEIGHT_BLOCK = select(36u, 44u, WEIGHT_FIFTH);

fn weight_row(row: u32) -> u32 {
    return row * (params.k / 256u * WEIGHT_BLOCK);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let at = row + k / 256u * WEIGHT_BLOCK;
    let i = k & 255u;
    let group = i / 32u;
    let byte = (group & 3u) * 8u;
    // Scale and minimum; the last four groups have their low bits apart.
    let first = vec2<u32>(weight[at + 1u], weight[at + 2u]) >> vec2<u32>(byte);
    let apart = (vec2<u32>(weight[at + 3u]) >> vec2<u32>(byte, byte + 4u)) & vec2<u32>(15u);
    let pair = select(first & vec2<u32>(63u), apart | ((first >> vec2<u32>(2u)) & vec2<u32>(48u)), group >= 4u);
    let factors = unpack2x16float(weight[at]) * vec2<f32>(pair);
    // Two groups share their bytes of low bits.
    let in_group = (i & 31u) / 4u;
    let low = weight[at + WEIGHT_BLOCK - 32u + group / 2u * 8u + in_group] >> ((group & 1u) * 4u);
    var codes = weight_bytes(low) & vec4<u32>(15u);
    if WEIGHT_FIFTH {
        codes |= (weight_bytes(weight[at + 4u + in_group] >> group) & vec4<u32>(1u)) << vec4<u32>(4u);
    }
    return factors.x * vec4<f32>(codes) - factors.y;
}
