fn load_weight(row: u32, k: u32) -> f32 {
    return load_weight4(row, k & ~3u)[k & 3u];
}
