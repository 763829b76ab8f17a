fn first_weight() -> u32 {
    return params.first_weight_row;
}
