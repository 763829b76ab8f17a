// Four signed bytes each.
alias Number = u32;
alias Sum = i32;

// Steps of a sum, and what they begin with. Bytes past k are zero in A, and any in B.
fn depth() -> u32 {
    return (params.k + 3u) / 4u;
}

fn first_k() -> u32 {
    return 0u;
}

fn product(a: u32, b: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(dot4I8Packed(a, b.x), dot4I8Packed(a, b.y), dot4I8Packed(a, b.z), dot4I8Packed(a, b.w));
}
