// Steps of a sum, and what they begin with.
fn depth() -> u32 {
    return params.k;
}

fn first_k() -> u32 {
    return 0u;
}
