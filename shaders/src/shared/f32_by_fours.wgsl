// Rows of a multiple of four elements.
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;

fn weight_row(row: u32) -> u32 {
    return row * params.k;
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    return weight[(row + k) / 4u];
}

//#include fours
