// Workgroup memory in vectors of four numbers.
alias Line = vec4<f32>;
// Elements of a head in a line.
const LINE: u32 = 4u;

fn line_of(value: vec4<f32>) -> Line {
    return value;
}

fn value_of(line: Line) -> vec4<f32> {
    return line;
}

// A row of q or k.
fn stride() -> u32 {
    return params.heads * params.head_dim;
}

// A head in it.
fn place_of(row: u32, head: u32) -> u32 {
    return row * stride() + head * params.head_dim;
}

fn line_of_q(row: u32, d: u32) -> Line {
    return rounded(load_q(row, d));
}

fn line_of_k(row: u32, d: u32) -> Line {
    return rounded(load_k(row, d));
}

// Sums of products of a query and four keys.
alias Dots = vec4<f32>;
alias Keys = mat4x4<f32>;

fn keys_of(a: Line, b: Line, c: Line, d: Line) -> Keys {
    return transpose(Keys(a, b, c, d));
}

fn add_products(dots: Dots, query: Line, keys: Keys) -> Dots {
    var sum = dots;
    sum += query.x * keys[0];
    sum += query.y * keys[1];
    sum += query.z * keys[2];
    sum += query.w * keys[3];
    return sum;
}

fn query_scale(row: u32, head: u32) -> f32 {
    return params.scale;
}

fn key_scales(rows: vec4<u32>, head: u32) -> vec4<f32> {
    return vec4<f32>(1.0);
}
