@group(0) @binding(1) var<storage, read> weight: array<u32>;

// The byte at `at`.
fn weight_u8(at: u32) -> u32 {
    return (weight[at >> 2u] >> ((at & 3u) * 8u)) & 0xffu;
}

// 16 bits; `at` is even.
fn weight_u16(at: u32) -> u32 {
    return (weight[at >> 2u] >> ((at & 2u) * 8u)) & 0xffffu;
}

// 32 bits; `at` is even.
fn weight_u32(at: u32) -> u32 {
    let low = weight[at >> 2u];
    if (at & 2u) == 0u {
        return low;
    }
    return (low >> 16u) | (weight[(at >> 2u) + 1u] << 16u);
}

// A half-precision number; `at` is even.
fn weight_f16(at: u32) -> f32 {
    return unpack2x16float(weight_u16(at)).x;
}
