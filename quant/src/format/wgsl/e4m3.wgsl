fn weight_f8(bytes: vec4<u32>) -> vec4<f32> {
    let code = bytes & vec4<u32>(0x7fu);
    let nan = bitcast<vec4<f32>>(code | vec4<u32>(0x7fc00000u));
    return with_sign(select(minifloat(code, 3u, 7u), nan, code == vec4<u32>(0x7fu)), bytes & vec4<u32>(0x80u));
}
