alias Number = f32;
alias Sum = f32;

// Steps of a sum.
fn depth() -> u32 {
    return params.k;
}

fn product(a: f32, b: vec4<f32>) -> vec4<f32> {
    return a * b;
}
