//#include weight_columns
//#include range

fn x_stride() -> u32 {
    return params.k;
}

fn scaled(row: u32, local_column: u32, sum: vec4<f32>) -> vec4<f32> {
    return sum;
}
