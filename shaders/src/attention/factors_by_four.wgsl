// Queries and keys in vectors of four. Zeros beyond the head.
alias Factor = vec4<f32>;

fn load_q(row: u32, d: u32) -> vec4<f32> {
    if d < params.head_dim {
        return q[(row + d) / 4u];
    }
    return vec4<f32>();
}

fn load_k(row: u32, d: u32) -> vec4<f32> {
    if d < params.head_dim {
        return k[(row + d) / 4u];
    }
    return vec4<f32>();
}
