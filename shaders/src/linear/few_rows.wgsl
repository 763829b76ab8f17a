// Up to eight rows: 4 columns a workgroup, 64 invocations along K for each, then a tree.
var<workgroup> low: array<vec4<f32>, 256>;
var<workgroup> high: array<vec4<f32>, 256>;

fn load_rows(row: vec4<u32>, k: u32) -> vec4<f32> {
    let v = vec4<f32>(x[row.x + k], x[row.y + k], x[row.z + k], x[row.w + k]);
    if ROUND_A {
        return to_f16(v);
    }
    return v;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % 64u;
    let column = flat(group) * 4u + thread / 64u;
    let w_row = weight_row(params.first_weight_row + min(column, params.n - 1u));
    let last = vec4<u32>(params.m - 1u);
    let rows0 = (min(vec4<u32>(0u, 1u, 2u, 3u), last) + params.first_row) * params.k;
    let rows1 = (min(vec4<u32>(4u, 5u, 6u, 7u), last) + params.first_row) * params.k;
    var sum0 = vec4<f32>(0.0);
    var sum1 = vec4<f32>(0.0);
    for (var k = lane; k < params.k; k += 64u) {
        var w = load_weight(w_row, k);
        if ROUND_B {
            w = to_f16(vec4<f32>(w)).x;
        }
        sum0 += w * load_rows(rows0, k);
        if params.m > 4u {
            sum1 += w * load_rows(rows1, k);
        }
    }
    low[thread] = sum0;
    high[thread] = sum1;
    workgroupBarrier();
    for (var step = 32u; step > 0u; step >>= 1u) {
        if lane < step {
            low[thread] += low[thread + step];
            high[thread] += high[thread + step];
        }
        workgroupBarrier();
    }
    // Invocation r stores row r.
    if thread < params.m {
        let part = thread % 4u;
        var y = vec4<f32>(low[0u][part], low[64u][part], low[128u][part], low[192u][part]);
        if thread >= 4u {
            y = vec4<f32>(high[0u][part], high[64u][part], high[128u][part], high[192u][part]);
        }
        store(thread, flat(group) * 4u, y);
    }
}
