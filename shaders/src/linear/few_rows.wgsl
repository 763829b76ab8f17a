// Up to eight rows: four columns a workgroup, 64 invocations along K, then a tree.
const LANES: u32 = 64u;

var<workgroup> shares: array<vec4<Sum>, 8u * LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_column = flat(group) * 4u;
    if first_column >= params.n {
        return;
    }
    //#repeat $i 4
    let column$i = column_state(first_column + $iu);
    //#end
    //#repeat $r 8
    var sum$r = vec4<Sum>();
    //#end
    for (var k = 4u * thread; k < depth(); k += 4u * LANES) {
        //#repeat $i 4
        let w$i = held_b(hold_b(load_b(column$i, k)));
        //#end
        //#repeat $i 4
        let y$i = vec4<Number>(w0[$i], w1[$i], w2[$i], w3[$i]);
        //#end
        //#repeat $r 8
        if $ru < params.m {
            let x$r = held_a(hold_a(load_x((params.first_row + $ru) * x_stride(), k)));
            //#repeat $i 4
            sum$r += product(x$r[$i], y$i);
            //#end
        }
        //#end
    }
    //#repeat $r 8
    shares[$ru * LANES + thread] = sum$r;
    //#end
    workgroupBarrier();
    for (var step = LANES / 2u; step > 0u; step >>= 1u) {
        if thread < step {
            for (var row = 0u; row < params.m; row++) {
                shares[row * LANES + thread] += shares[row * LANES + thread + step];
            }
        }
        workgroupBarrier();
    }
    // Invocation r stores row r.
    if thread < params.m {
        store(thread, first_column, shares[thread * LANES]);
    }
}
