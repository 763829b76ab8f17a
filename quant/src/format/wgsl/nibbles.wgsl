//#include bytes

// Scale, minimum, fifth bits, low bits; rows in bytes.
const WEIGHT_HEAD = select(2u, 4u, WEIGHT_MINIMUM);

fn weight_row(row: u32) -> u32 {
    return row * (params.k / 32u * WEIGHT_BLOCK);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let at = row + k / 32u * WEIGHT_BLOCK;
    let i = k & 31u;
    // Elements i and i + 16 share a byte.
    let low = weight_u32(at + WEIGHT_BLOCK - 16u + (i & 15u)) >> ((i & 16u) / 4u);
    var codes = weight_bytes(low) & vec4<u32>(15u);
    if WEIGHT_FIFTH {
        let fifth = vec4<u32>(weight_u32(at + WEIGHT_HEAD) >> i) >> vec4<u32>(0u, 1u, 2u, 3u);
        codes |= (fifth & vec4<u32>(1u)) << vec4<u32>(4u);
    }
    let d = weight_f16(at);
    if WEIGHT_MINIMUM {
        return d * vec4<f32>(codes) + weight_f16(at + 2u);
    }
    return d * (vec4<f32>(codes) - select(8.0, 16.0, WEIGHT_FIFTH));
}
