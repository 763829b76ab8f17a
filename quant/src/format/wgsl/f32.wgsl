@group(0) @binding(1) var<storage, read> weight: array<f32>;

fn weight_row(row: u32) -> u32 {
    return row * params.k;
}

fn load_weight(row: u32, k: u32) -> f32 {
    return weight[row + k];
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let i = row + k;
    return vec4<f32>(weight[i], weight[i + 1u], weight[i + 2u], weight[i + 3u]);
}
