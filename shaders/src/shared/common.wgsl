// The finite number that stands for minus infinity.
const LOWEST: f32 = -3.4e38;
// What the sum of a softmax is at least, of which the highest part is 1: what has no parts becomes zeros.
const LEAST_SUM: f32 = 1e-30;

// Number of the workgroup in a flat grid.
fn flat(group: vec3<u32>) -> u32 {
    return group.y * 32768u + group.x;
}

// As a half-precision store would leave it.
fn to_f16(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(pack2x16float(x.xy)), unpack2x16float(pack2x16float(x.zw)));
}

// exp for arguments up to 0 of any size.
fn exp_below(x: f32) -> f32 {
    return select(exp(max(x, -87.0)), 0.0, x < -87.0);
}
