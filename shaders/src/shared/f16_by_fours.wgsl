// Rows of a multiple of four elements.
@group(0) @binding(1) var<storage, read> weight: array<vec2<u32>>;

fn weight_row(row: u32) -> u32 {
    return row * params.k;
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let words = weight[(row + k) / 4u];
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

//#include fours
