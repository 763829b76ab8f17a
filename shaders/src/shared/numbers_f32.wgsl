alias Number = f32;
alias Sum = f32;

fn product(a: f32, b: vec4<f32>) -> vec4<f32> {
    return a * b;
}
