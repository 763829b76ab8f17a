fn weight_f8(bytes: vec4<u32>) -> vec4<f32> {
    let code = bytes & vec4<u32>(0x7fu);
    // Infinity, or NaN with what follows the exponent.
    let beyond = bitcast<vec4<f32>>((code << vec4<u32>(21u)) | vec4<u32>(0x7f800000u));
    return with_sign(select(minifloat(code, 2u, 15u), beyond, code >= vec4<u32>(0x7cu)), bytes & vec4<u32>(0x80u));
}
