// Queries and keys element by element. Zeros beyond the head.
alias Factor = f32;

fn load_q(row: u32, d: u32) -> vec4<f32> {
    var x = vec4<f32>();
    for (var i = 0u; i < 4u && d + i < params.head_dim; i++) {
        x[i] = q[row + d + i];
    }
    return x;
}

fn load_k(row: u32, d: u32) -> vec4<f32> {
    var x = vec4<f32>();
    for (var i = 0u; i < 4u && d + i < params.head_dim; i++) {
        x[i] = k[row + d + i];
    }
    return x;
}
