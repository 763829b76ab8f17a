// A workgroup takes 32 queries of a head and walks over the keys, 32 at a time. Invocation (r, c) of 8 x 8 has
// queries 4r .. 4r + 4, and twice over:
//   scores: keys 4c .. 4c + 4; head_dim passes through workgroup memory in pieces of 32 of q and k;
//   output: elements 4c .. 4c + 4 and 32 + 4c .. 32 + 4c + 4 of each piece of 64 of the head, CHUNKS pieces, in
//           registers; v passes through the same workgroup memory.
// The maximum and the sum of each query's row are kept as the keys pass (every invocation of a row keeps both).
//#include common

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
@group(0) @binding(1) var<storage, read_write> q: array<f32>;
@group(0) @binding(2) var<storage, read_write> k: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> mask: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

// q, then k: 32 elements of the head, each of 32 rows in vectors of four, and one more against bank conflicts.
const ROWS: u32 = 9u;
const K_TILE: u32 = 32u * ROWS;
// Or v: 32 keys of 16 vectors along the head.
var<workgroup> tile: array<vec4<f32>, 2u * K_TILE>;
// The highest score of each of four queries that an invocation has seen.
var<workgroup> tops: array<vec4<f32>, 64>;
// Probabilities of 32 keys, each of 32 queries in vectors of four.
var<workgroup> probabilities: array<vec4<f32>, 32u * ROWS>;

fn rounded(x: vec4<f32>) -> vec4<f32> {
    if ROUND_A {
        return to_f16(x);
    }
    return x;
}

fn exp_below4(x: vec4<f32>) -> vec4<f32> {
    return select(exp(max(x, vec4<f32>(-87.0))), vec4<f32>(0.0), x < vec4<f32>(-87.0));
}

fn highest_of(x: vec4<f32>) -> f32 {
    return max(max(x.x, x.y), max(x.z, x.w));
}

// The first elements of four rows from `row` on of a head's part of [count, width]; the last row repeats.
fn places(first: u32, row: u32, count: u32) -> vec4<u32> {
    let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(count - 1u));
    return first + rows * params.heads * params.head_dim;
}

// The scores of a query and four keys as the softmax sees them.
fn finish_scores(dots: vec4<f32>, query: u32, key: u32, head: u32) -> vec4<f32> {
    let keys = min(vec4<u32>(key, key + 1u, key + 2u, key + 3u), vec4<u32>(params.key_length - 1u));
    var s = dots * params.scale;
    if (params.flags & HAS_BIAS) != 0u {
        let i = (keys + (params.query_length - 1u - query)) * params.heads + head;
        s += vec4<f32>(bias[i.x], bias[i.y], bias[i.z], bias[i.w]);
    }
    if (params.flags & HAS_MASK) != 0u {
        s += vec4<f32>(mask[keys.x], mask[keys.y], mask[keys.z], mask[keys.w]);
    }
    return clamp(s, vec4<f32>(LOWEST), vec4<f32>(-LOWEST));
}

fn store(query: u32, d: u32, head_place: u32, value: vec4<f32>) {
    if query < params.queries && d < params.head_dim {
        let place = (params.first_query + query) * params.heads * params.head_dim + head_place + d;
        for (var i = 0u; i < min(4u, params.head_dim - d); i++) {
            out[place + i] = value[i];
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = group.y;
    let width = params.heads * params.head_dim;
    // First element of this batch and head in q and out (from the first query on), and in k and v.
    let out_place = group.z * params.query_length * width + head * params.head_dim;
    let query_place = out_place + params.first_query * width;
    let key_place = group.z * params.key_length * width + head * params.head_dim;
    let first_query = group.x * 32u;

    let r = thread / 8u;
    let c = thread % 8u;
    let last_query = params.queries - 1u;
    let query = params.first_query + min(vec4<u32>(0u, 1u, 2u, 3u) + (first_query + r * 4u), vec4<u32>(last_query));

    var highest = vec4<f32>(LOWEST);
    var sum = vec4<f32>(0.0);
    //#repeat $i CHUNKS
    var low0_$i = vec4<f32>(0.0);
    var low1_$i = vec4<f32>(0.0);
    var low2_$i = vec4<f32>(0.0);
    var low3_$i = vec4<f32>(0.0);
    var high0_$i = vec4<f32>(0.0);
    var high1_$i = vec4<f32>(0.0);
    var high2_$i = vec4<f32>(0.0);
    var high3_$i = vec4<f32>(0.0);
    //#end

    for (var key0 = 0u; key0 < params.key_length; key0 += 32u) {
        // Scores.
        var dots0 = vec4<f32>(0.0);
        var dots1 = vec4<f32>(0.0);
        var dots2 = vec4<f32>(0.0);
        var dots3 = vec4<f32>(0.0);
        for (var d0 = 0u; d0 < params.head_dim; d0 += 32u) {
            let load_d = thread % 32u;
            let d = d0 + load_d;
            for (var rows = thread / 32u; rows < 8u; rows += 2u) {
                var a = vec4<f32>(0.0);
                var b = vec4<f32>(0.0);
                if d < params.head_dim {
                    let i = places(query_place + d, first_query + rows * 4u, params.queries);
                    a = rounded(vec4<f32>(q[i.x], q[i.y], q[i.z], q[i.w]));
                    let j = places(key_place + d, key0 + rows * 4u, params.key_length);
                    b = rounded(vec4<f32>(k[j.x], k[j.y], k[j.z], k[j.w]));
                }
                tile[load_d * ROWS + rows] = a;
                tile[K_TILE + load_d * ROWS + rows] = b;
            }
            workgroupBarrier();
            for (var i = 0u; i < min(32u, params.head_dim - d0); i++) {
                let a = tile[i * ROWS + r];
                let b = tile[K_TILE + i * ROWS + c];
                dots0 += a.x * b;
                dots1 += a.y * b;
                dots2 += a.z * b;
                dots3 += a.w * b;
            }
            workgroupBarrier();
        }
        let key = key0 + c * 4u;
        let inside = vec4<u32>(key, key + 1u, key + 2u, key + 3u) < vec4<u32>(params.key_length);
        dots0 = select(vec4<f32>(LOWEST), finish_scores(dots0, query.x, key, head), inside);
        dots1 = select(vec4<f32>(LOWEST), finish_scores(dots1, query.y, key, head), inside);
        dots2 = select(vec4<f32>(LOWEST), finish_scores(dots2, query.z, key, head), inside);
        dots3 = select(vec4<f32>(LOWEST), finish_scores(dots3, query.w, key, head), inside);

        // The new maximum, and how much all that came before shrinks.
        tops[thread] = vec4<f32>(highest_of(dots0), highest_of(dots1), highest_of(dots2), highest_of(dots3));
        workgroupBarrier();
        var top = highest;
        for (var j = 0u; j < 8u; j++) {
            top = max(top, tops[r * 8u + j]);
        }
        let shrink = exp_below4(highest - top);
        highest = top;

        // Probabilities; those beyond the last key are not read.
        dots0 = exp_below4(dots0 - top.x);
        dots1 = exp_below4(dots1 - top.y);
        dots2 = exp_below4(dots2 - top.z);
        dots3 = exp_below4(dots3 - top.w);
        let place = c * 4u * ROWS + r;
        probabilities[place] = vec4<f32>(dots0.x, dots1.x, dots2.x, dots3.x);
        probabilities[place + ROWS] = vec4<f32>(dots0.y, dots1.y, dots2.y, dots3.y);
        probabilities[place + 2u * ROWS] = vec4<f32>(dots0.z, dots1.z, dots2.z, dots3.z);
        probabilities[place + 3u * ROWS] = vec4<f32>(dots0.w, dots1.w, dots2.w, dots3.w);

        // Output, a piece of 64 elements of the head at a time. Elements beyond the head are never stored.
        let keys = min(32u, params.key_length - key0);
        sum *= shrink;
        //#repeat $i CHUNKS
        {
            let d = min($iu * 64u + thread % 16u * 4u + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.head_dim - 1u));
            for (var j = thread / 16u; j < keys; j += 4u) {
                let i = key_place + (key0 + j) * width + d;
                tile[j * 16u + thread % 16u] = rounded(vec4<f32>(v[i.x], v[i.y], v[i.z], v[i.w]));
            }
            workgroupBarrier();
            low0_$i *= shrink.x;
            low1_$i *= shrink.y;
            low2_$i *= shrink.z;
            low3_$i *= shrink.w;
            high0_$i *= shrink.x;
            high1_$i *= shrink.y;
            high2_$i *= shrink.z;
            high3_$i *= shrink.w;
            for (var j = 0u; j < keys; j++) {
                let p = probabilities[j * ROWS + r];
                let low = tile[j * 16u + c];
                let high = tile[j * 16u + c + 8u];
                low0_$i += p.x * low;
                low1_$i += p.y * low;
                low2_$i += p.z * low;
                low3_$i += p.w * low;
                high0_$i += p.x * high;
                high1_$i += p.y * high;
                high2_$i += p.z * high;
                high3_$i += p.w * high;
                if $iu == 0u {
                    sum += p;
                }
            }
            workgroupBarrier();
        }
        //#end
    }

    let row = first_query + r * 4u;
    //#repeat $i CHUNKS
    store(row, $iu * 64u + c * 4u, out_place, low0_$i / sum.x);
    store(row + 1u, $iu * 64u + c * 4u, out_place, low1_$i / sum.y);
    store(row + 2u, $iu * 64u + c * 4u, out_place, low2_$i / sum.z);
    store(row + 3u, $iu * 64u + c * 4u, out_place, low3_$i / sum.w);
    store(row, $iu * 64u + 32u + c * 4u, out_place, high0_$i / sum.x);
    store(row + 1u, $iu * 64u + 32u + c * 4u, out_place, high1_$i / sum.y);
    store(row + 2u, $iu * 64u + 32u + c * 4u, out_place, high2_$i / sum.z);
    store(row + 3u, $iu * 64u + 32u + c * 4u, out_place, high3_$i / sum.w);
    //#end
}
