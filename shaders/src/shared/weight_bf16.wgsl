@group(0) @binding(1) var<storage, read> weight: array<u32>;

fn load_weight(i: u32) -> f32 {
    let pair = weight[i >> 1u];
    return bitcast<f32>(select(pair << 16u, pair & 0xffff0000u, (i & 1u) == 1u));
}
