fn tile_rows(tile: u32, height: u32, thread: u32) -> vec2<u32> {
    return vec2<u32>(tile * height, params.m);
}
