//#include common
//#include quantize

struct Params {
    rows: u32,
    heads: u32,
    head_dim: u32,
    first_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> mean: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

// So many invocations have a head of a row, vectors `lane` and `lane` + LANES of it.
const LANES: u32 = 16u;

var<workgroup> highest: array<u32, 256>;

// A vector of a head; zero beyond it.
fn load(row: u32, head: u32, vector: u32) -> vec4<f32> {
    let vectors = params.head_dim / 4u;
    if vector >= vectors {
        return vec4<f32>();
    }
    let column = head * vectors + vector;
    let v = x[row * params.heads * vectors + column];
    if SMOOTH {
        return v - mean[column];
    }
    return v;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let all = params.rows * params.heads;
    let any = flat(group) * (256u / LANES) + thread / LANES;
    let piece = min(any, all - 1u);
    let row = params.first_row + piece / params.heads;
    let head = piece % params.heads;
    let lane = thread % LANES;

    let v = array<vec4<f32>, 2>(load(row, head, lane), load(row, head, lane + LANES));
    highest[thread] = max(magnitude(v[0]), magnitude(v[1]));
    workgroupBarrier();
    var most = 0u;
    for (var i = 0u; i < LANES; i++) {
        most = max(most, highest[thread - lane + i]);
    }
    let scale = scale_of(most);

    if any >= all {
        return;
    }
    let words = params.head_dim / 4u;
    let place = row * (words * params.heads + (params.heads + 3u) / 4u * 4u);
    //#repeat $i 2
    if lane + $iu * LANES < words {
        out[place + head * words + lane + $iu * LANES] = signed_bytes(v[$i], scale);
    }
    //#end
    if lane == 0u {
        out[place + words * params.heads + head] = bitcast<u32>(scale);
    }
}
