alias Number = f32;
alias Sum = f32;

// Steps of a sum.
fn depth() -> u32 {
    return params.k;
}

fn product(a: f32, b: vec4<f32>) -> vec4<f32> {
    return a * b;
}

fn rounded_a(v: vec4<f32>) -> vec4<f32> {
    if ROUND_A {
        return to_f16(v);
    }
    return v;
}

fn rounded_b(v: vec4<f32>) -> vec4<f32> {
    if ROUND_B {
        return to_f16(v);
    }
    return v;
}
