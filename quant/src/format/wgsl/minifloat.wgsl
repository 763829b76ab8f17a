//#include bytes

// Magnitudes of floats of few bits, in integers alone: small ones would be subnormal on the way.
fn minifloat(code: vec4<u32>, mantissa: u32, bias: u32) -> vec4<f32> {
    let normal = bitcast<vec4<f32>>((code + ((127u - bias) << mantissa)) << vec4<u32>(23u - mantissa));
    let step = bitcast<f32>((128u - bias - mantissa) << 23u);
    return select(normal, vec4<f32>(code) * step, code < vec4<u32>(1u << mantissa));
}

// The numbers with the sign where `negative` is not 0.
fn with_sign(magnitude: vec4<f32>, negative: vec4<u32>) -> vec4<f32> {
    return select(magnitude, -magnitude, negative != vec4<u32>(0u));
}
