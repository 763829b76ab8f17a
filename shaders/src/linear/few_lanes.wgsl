// A few rows in registers, for the drivers of `gemm_lanes`. Each lane has four columns, and reads and decodes these of the
// weight for itself; a row of x is read by one lane, and broadcast. With more than four rows the sums leave the
// registers. They run along K in order.
const LANES: u32 = 8u;
const ROWS: u32 = 4u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_row = group.y * ROWS;
    let row = (min(first_row + lane % ROWS, params.m - 1u) + params.first_row) * x_stride();
    let column = (group.x * LANES + lane) * 4u;
    //#repeat $i 4
    let column$i = column_state(column + $iu);
    //#end
    var sums = array<vec4<Sum>, ROWS + 1u>();
    for (var k = 0u; k < depth(); k += WEIGHT_RUN) {
        //#repeat $i 4
        let run$i = weight_run(column$i, k);
        //#end
        for (var i = 0u; i < WEIGHT_RUN / 4u; i++) {
            let a = held_a(hold_a(load_x(row, k + 4u * i)));
            //#repeat $i 4
            let w$i = held_b(hold_b(run_weight4(run$i, i)));
            //#end
            //#repeat $i 4
            let y$i = vec4<Number>(w0[$i], w1[$i], w2[$i], w3[$i]);
            //#end
            //#repeat $r 4
            {
                let x = subgroupBroadcast(a, $ru);
                //#repeat $i 4
                sums[$r] += product(x[$i], y$i);
                //#end
            }
            //#end
        }
    }

    // One store in the text: the next row moves to the front.
    for (var row = first_row; row < min(first_row + ROWS, params.m); row++) {
        if column < params.n {
            store(row, column, sums[0]);
        }
        //#repeat $r 4
        sums[$r] = sums[$ru + 1u];
        //#end
    }
}
