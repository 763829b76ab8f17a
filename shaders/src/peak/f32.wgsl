alias Numbers = vec4<f32>;

fn start(i: u32) -> Numbers {
    return vec4<f32>((vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u)) % 64u) / 64.0;
}

fn step_of(x: Numbers) -> Numbers {
    return fma(x, Numbers(params.factor), Numbers(params.term));
}

fn total(a: Numbers, b: Numbers, c: Numbers, d: Numbers) -> f32 {
    let sum = (a + b) + (c + d);
    return sum.x + sum.y + sum.z + sum.w;
}
