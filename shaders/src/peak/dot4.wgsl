alias Numbers = vec4<i32>;

fn start(i: u32) -> Numbers {
    return vec4<i32>(vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u));
}

// Each sum is the next one's factor: a product that stays the same would be taken out of the loop.
fn step_of(x: Numbers) -> Numbers {
    let factor = bitcast<u32>(params.factor);
    let packed = vec4<u32>(x);
    return x + vec4<i32>(
        dot4I8Packed(packed.x, factor),
        dot4I8Packed(packed.y, factor),
        dot4I8Packed(packed.z, factor),
        dot4I8Packed(packed.w, factor)
    );
}

// As many bits as a number holds exactly.
fn total(a: Numbers, b: Numbers, c: Numbers, d: Numbers) -> f32 {
    let sum = (a + b) + (c + d);
    return f32((sum.x + sum.y + sum.z + sum.w) & 0xffffff);
}
