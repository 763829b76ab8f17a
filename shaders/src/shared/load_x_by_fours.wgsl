// Rows whose length is a multiple of four.
alias XElement = vec4<Number>;

// Of the row of x that begins at number `row`: elements k to k + 3.
fn load_x(row: u32, k: u32) -> vec4<Number> {
    return x[(row + k) / 4u];
}
