// Largest of the magnitudes of v, as bits: as integers, magnitudes have their order, and NaN is the highest.
fn magnitude(v: vec4<f32>) -> u32 {
    let bits = bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu);
    return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// The scale of numbers whose largest magnitude is `most`.
fn scale_of(most: u32) -> f32 {
    let scale = bitcast<f32>(most) / 127.0;
    // Not max: it may lose NaN.
    if scale < LEAST_SCALE {
        return LEAST_SCALE;
    }
    return scale;
}

// Four numbers as signed bytes.
fn signed_bytes(v: vec4<f32>, scale: f32) -> u32 {
    return pack4xI8(vec4<i32>(clamp(round(v / scale), vec4<f32>(-128.0), vec4<f32>(127.0))));
}
