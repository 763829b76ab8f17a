alias XElement = Number;

// Of the row of x that begins at `row`: elements k to k + 3, zero from depth() on.
fn load_x(row: u32, k: u32) -> vec4<Number> {
    if k + 4u <= depth() {
        return vec4<Number>(x[row + k], x[row + k + 1u], x[row + k + 2u], x[row + k + 3u]);
    }
    var v = vec4<Number>();
    for (var i = 0u; k + i < depth(); i++) {
        v[i] = x[row + k + i];
    }
    return v;
}
