fn silu(x: vec4<f32>) -> vec4<f32> {
    return x / (1.0 + exp(-max(x, vec4<f32>(-87.0))));
}

// 0.5 (1 + tanh z) is 1 / (1 + exp(-2z)); the argument is bounded because exp overflows.
fn gelu_tanh(x: vec4<f32>) -> vec4<f32> {
    let z = 1.5957691216057308 * (x + 0.044715 * x * x * x);
    return x / (1.0 + exp(-clamp(z, vec4<f32>(-87.0), vec4<f32>(87.0))));
}

// erf by Abramowitz and Stegun 7.1.26; error below 1.5e-7 (and what f32 adds).
fn erf(x: vec4<f32>) -> vec4<f32> {
    let z = abs(x);
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let p = ((((1.061405429 * t - 1.453152027) * t) + 1.421413741) * t - 0.284496736) * t + 0.254829592;
    return sign(x) * (1.0 - p * t * exp(-min(z * z, vec4<f32>(87.0))));
}

fn gelu_erf(x: vec4<f32>) -> vec4<f32> {
    return 0.5 * x * (1.0 + erf(x * 0.70710678118654752));
}

//#include activate
