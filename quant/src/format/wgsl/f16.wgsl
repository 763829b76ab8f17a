@group(0) @binding(1) var<storage, read> weight: array<u32>;

fn weight_row(row: u32) -> u32 {
    return row * params.k;
}

fn load_weight(row: u32, k: u32) -> f32 {
    let i = row + k;
    let pair = unpack2x16float(weight[i >> 1u]);
    return select(pair.x, pair.y, (i & 1u) == 1u);
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let i = row + k;
    let word = i >> 1u;
    let a = unpack2x16float(weight[word]);
    let b = unpack2x16float(weight[word + 1u]);
    // Asked of all rows alike: invocations go one way.
    if (params.k & 1u) == 0u {
        return vec4<f32>(a, b);
    }
    let c = unpack2x16float(weight[word + 2u]);
    return select(vec4<f32>(a, b), vec4<f32>(a.y, b, c.x), (i & 1u) == 1u);
}
