// Values and results element by element: heads of any size. Zeros beyond the head.
alias Operand = f32;

fn load_v(row: u32, d: u32) -> vec4<f32> {
    var x = vec4<f32>();
    for (var i = 0u; i < 4u && d + i < params.head_dim; i++) {
        x[i] = v[row + d + i];
    }
    return x;
}

fn store(row: u32, d: u32, value: vec4<f32>) {
    for (var i = 0u; i < 4u && d + i < params.head_dim; i++) {
        out[row + d + i] = value[i];
    }
}
