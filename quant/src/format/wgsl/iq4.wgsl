//#include bytes

// The values of four codes, out of a table of bytes with signs.
fn weight_table(codes: vec4<u32>) -> vec4<f32> {
    let low = select(vec4<u32>(0xbfad9881u), vec4<u32>(0xf6eaddcfu), (codes & vec4<u32>(4u)) != vec4<u32>(0u));
    let high = select(vec4<u32>(0x26190d01u), vec4<u32>(0x71594535u), (codes & vec4<u32>(4u)) != vec4<u32>(0u));
    let words = select(low, high, codes >= vec4<u32>(8u));
    let bytes = words << (vec4<u32>(24u) - (codes & vec4<u32>(3u)) * 8u);
    return vec4<f32>(bitcast<vec4<i32>>(bytes) >> vec4<u32>(24u));
}

// Elements i to i + 3 of 32 in the 16 bytes from `at`: i and i + 16 share a byte.
fn weight_group(at: u32, i: u32) -> vec4<f32> {
    return weight_table(weight_bytes(weight_u32(at + (i & 15u)) >> ((i & 16u) / 4u)) & vec4<u32>(15u));
}
