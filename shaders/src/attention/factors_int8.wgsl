// Queries and keys as signed bytes, 16 in a vector. Zeros beyond the head.
alias Factor = vec4<u32>;

fn load_q(row: u32, d: u32) -> vec4<u32> {
    if d < params.head_dim {
        return q[row + d / 16u];
    }
    return vec4<u32>();
}

fn load_k(row: u32, d: u32) -> vec4<u32> {
    if d < params.head_dim {
        return k[row + d / 16u];
    }
    return vec4<u32>();
}
