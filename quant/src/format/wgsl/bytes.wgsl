//#include unpack

@group(0) @binding(1) var<storage, read> weight: array<u32>;

// The byte at `at`.
fn weight_u8(at: u32) -> u32 {
    return (weight[at >> 2u] >> ((at & 3u) * 8u)) & 0xffu;
}

// 16 bits; `at` is even.
fn weight_u16(at: u32) -> u32 {
    return (weight[at >> 2u] >> ((at & 2u) * 8u)) & 0xffffu;
}

// 32 bits at any byte. Without a branch, so that one load need not wait for another; no shift reaches 32.
fn weight_u32(at: u32) -> u32 {
    let word = at >> 2u;
    let shift = (at & 3u) * 8u;
    return (weight[word] >> shift) | ((weight[word + 1u] << 1u) << (31u - shift));
}

// A half-precision number; `at` is even.
fn weight_f16(at: u32) -> f32 {
    return unpack2x16float(weight_u16(at)).x;
}
