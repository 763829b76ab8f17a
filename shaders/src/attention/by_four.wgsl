// Values and results in vectors of four: heads of a multiple of four elements. Zeros beyond the head.
alias Operand = vec4<f32>;

fn load_v(row: u32, d: u32) -> vec4<f32> {
    if d < params.head_dim {
        return v[(row + d) / 4u];
    }
    return vec4<f32>();
}

fn store(row: u32, d: u32, value: vec4<f32>) {
    if d < params.head_dim {
        out[(row + d) / 4u] = value;
    }
}
