@group(0) @binding(1) var<storage, read> weight: array<u32>;

fn load_weight(i: u32) -> f32 {
    let pair = unpack2x16float(weight[i >> 1u]);
    return select(pair.x, pair.y, (i & 1u) == 1u);
}
