// A row of the weight: its bytes and its scale, zeros up to a whole word. A row of x: words, the scale in the last.
@group(0) @binding(1) var<storage, read> weight: array<u32>;

fn x_stride() -> u32 {
    return depth() + 1u;
}

fn weight_row(row: u32) -> u32 {
    return row * ((params.k + 7u) / 4u);
}

fn column_state(column: u32) -> u32 {
    return weight_row(min(column, params.n - 1u) + first_weight());
}

// Four words from k on; zero from depth() on.
fn load_b(row: u32, k: u32) -> vec4<u32> {
    var w = vec4<u32>();
    for (var i = 0u; i < 4u && k + i < depth(); i++) {
        w[i] = weight[row + k + i];
    }
    return w;
}

fn weight_scale(row: u32) -> f32 {
    let word = row + params.k / 4u;
    let shift = params.k % 4u * 8u;
    if shift == 0u {
        return bitcast<f32>(weight[word]);
    }
    return bitcast<f32>((weight[word] >> shift) | (weight[word + 1u] << (32u - shift)));
}

fn scaled(row: u32, local_column: u32, sum: vec4<i32>) -> vec4<f32> {
    var scales = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
        scales[i] = weight_scale(column_state(local_column + i));
    }
    return vec4<f32>(sum) * (bitcast<f32>(x[row * x_stride() + depth()]) * scales);
}
