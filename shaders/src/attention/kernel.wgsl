//#include common
//#include operands
//#include factors

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
    first_block: u32,
    head_blocks: u32,
    pad0: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> q: array<Factor>;
@group(0) @binding(2) var<storage, read_write> k: array<Factor>;
@group(0) @binding(3) var<storage, read_write> v: array<Operand>;
@group(0) @binding(4) var<storage, read_write> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> mask: array<f32>;
@group(0) @binding(6) var<storage, read_write> blocks: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<Operand>;

fn rounded(x: vec4<f32>) -> vec4<f32> {
    if ROUND {
        return to_f16(x);
    }
    return x;
}

fn exp_below4(x: vec4<f32>) -> vec4<f32> {
    return select(exp(max(x, vec4<f32>(-87.0))), vec4<f32>(0.0), x < vec4<f32>(-87.0));
}

// What bias and mask add to the scores of a query and four keys; beyond the last key, what they add to that one.
fn added(row: u32, any_keys: vec4<u32>, head: u32) -> vec4<f32> {
    let keys = min(any_keys, vec4<u32>(params.key_length - 1u));
    var s = vec4<f32>();
    if (params.flags & HAS_BIAS) != 0u {
        let query = params.first_query + min(row, params.queries - 1u);
        let i = (keys + (params.query_length - 1u - query)) * params.heads + head;
        s += vec4<f32>(bias[i.x], bias[i.y], bias[i.z], bias[i.w]);
    }
    if (params.flags & HAS_MASK) != 0u {
        s += vec4<f32>(mask[keys.x], mask[keys.y], mask[keys.z], mask[keys.w]);
    }
    return s;
}

// The first key from `key` on of a block that is not zero, for the block of the query `row`.
fn seen_from(row: u32, key: u32, head: u32) -> u32 {
    let across = (params.key_length + BLOCK - 1u) / BLOCK;
    let place = head * params.head_blocks + (params.first_block + row / BLOCK) * across;
    var first = key;
    while (params.flags & HAS_BLOCKS) != 0u && first < params.key_length && blocks[place + first / BLOCK] == 0.0 {
        first = (first / BLOCK + 1u) * BLOCK;
    }
    return first;
}

//#include body
