// Parts of K: the grid has the tiles of each one after another, out the sums of each as `[parts, M, N]`.
var<private> part: u32;

fn depth() -> u32 {
    return params.part_k;
}

fn first_k() -> u32 {
    return part * params.part_k;
}

fn tile_rows(tile: u32, height: u32, thread: u32) -> vec2<u32> {
    let tiles = (params.m + height - 1u) / height;
    part = tile / tiles;
    return vec2<u32>(tile % tiles * height, params.m);
}

fn store(local_row: u32, local_column: u32, sum: vec4<f32>) {
    let place = (part * params.m + local_row) * params.n + local_column;
    for (var i = 0u; i < min(4u, params.n - local_column); i++) {
        out[place + i] = sum[i];
    }
}
