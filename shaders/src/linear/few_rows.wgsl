// Up to eight rows: 4 columns a workgroup, 64 invocations along K for each, then a tree.
var<workgroup> low: array<vec4<Sum>, 256>;
var<workgroup> high: array<vec4<Sum>, 256>;

fn load_rows(row: vec4<u32>, k: u32) -> vec4<Number> {
    return rounded_a(vec4<Number>(x[row.x + k], x[row.y + k], x[row.z + k], x[row.w + k]));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % 64u;
    let column = flat(group) * 4u + thread / 64u;
    let w_row = weight_row(first_weight() + min(column, params.n - 1u));
    let last = vec4<u32>(params.m - 1u);
    let rows0 = (min(vec4<u32>(0u, 1u, 2u, 3u), last) + params.first_row) * x_stride();
    let rows1 = (min(vec4<u32>(4u, 5u, 6u, 7u), last) + params.first_row) * x_stride();
    var sum0 = vec4<Sum>();
    var sum1 = vec4<Sum>();
    for (var k = 4u * lane; k < depth(); k += 256u) {
        let w = rounded_b(weight4(w_row, k));
        //#repeat $i 4
        if k + $iu < depth() {
            sum0 += product(w[$i], load_rows(rows0, k + $iu));
            if params.m > 4u {
                sum1 += product(w[$i], load_rows(rows1, k + $iu));
            }
        }
        //#end
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
        var y = vec4<Sum>(low[0u][part], low[64u][part], low[128u][part], low[192u][part]);
        if thread >= 4u {
            y = vec4<Sum>(high[0u][part], high[64u][part], high[128u][part], high[192u][part]);
        }
        store(thread, flat(group) * 4u, y);
    }
}
