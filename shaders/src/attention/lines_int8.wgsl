// Workgroup memory in vectors of 16 signed bytes, or of four numbers as their bits. Rows of q and k are those of the
// kernel quantize_heads: the bytes of all heads, then their scales.
alias Line = vec4<u32>;
// Elements of a head in a line.
const LINE: u32 = 16u;

fn line_of(value: vec4<f32>) -> Line {
    return bitcast<vec4<u32>>(value);
}

fn value_of(line: Line) -> vec4<f32> {
    return bitcast<vec4<f32>>(line);
}

// A row of q or k.
fn stride() -> u32 {
    return params.heads * params.head_dim / 16u + (params.heads + 3u) / 4u;
}

// A head in it.
fn place_of(row: u32, head: u32) -> u32 {
    return row * stride() + head * params.head_dim / 16u;
}

fn line_of_q(row: u32, d: u32) -> Line {
    return load_q(row, d);
}

fn line_of_k(row: u32, d: u32) -> Line {
    return load_k(row, d);
}

// Sums of products of a query and four keys.
alias Dots = vec4<i32>;
alias Keys = array<Line, 4>;

fn keys_of(a: Line, b: Line, c: Line, d: Line) -> Keys {
    return Keys(a, b, c, d);
}

fn add_products(dots: Dots, query: Line, keys: Keys) -> Dots {
    var sum = dots;
    //#repeat $w 4
    //#repeat $j 4
    sum[$j] += dot4I8Packed(query[$w], keys[$j][$w]);
    //#end
    //#end
    return sum;
}

// The scale of a head of a row, in its vector of four.
fn scale_place(row: u32, head: u32) -> u32 {
    return place_of(row, params.heads) + head / 4u;
}

fn query_scale(row: u32, head: u32) -> f32 {
    return params.scale * bitcast<f32>(q[scale_place(row, head)][head % 4u]);
}

fn key_scales(rows: vec4<u32>, head: u32) -> vec4<f32> {
    var scales: vec4<f32>;
    //#repeat $i 4
    scales[$i] = bitcast<f32>(k[scale_place(rows[$i], head)][head % 4u]);
    //#end
    return scales;
}
