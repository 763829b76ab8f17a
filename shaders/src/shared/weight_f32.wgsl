@group(0) @binding(1) var<storage, read> weight: array<f32>;

fn load_weight(i: u32) -> f32 {
    return weight[i];
}
