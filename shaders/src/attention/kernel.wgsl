//#include common
//#include operands

struct Params {
    queries: u32,
    first_query: u32,
    query_length: u32,
    key_length: u32,
    heads: u32,
    head_dim: u32,
    batch: u32,
    flags: u32,
    scale: f32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> q: array<Operand>;
@group(0) @binding(2) var<storage, read_write> k: array<Operand>;
@group(0) @binding(3) var<storage, read_write> v: array<Operand>;
@group(0) @binding(4) var<storage, read_write> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> mask: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<Operand>;

fn rounded(x: vec4<f32>) -> vec4<f32> {
    if ROUND {
        return to_f16(x);
    }
    return x;
}

fn exp_below4(x: vec4<f32>) -> vec4<f32> {
    return select(exp(max(x, vec4<f32>(-87.0))), vec4<f32>(0.0), x < vec4<f32>(-87.0));
}

//#include body
