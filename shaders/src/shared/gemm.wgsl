//#include gemm_tiles

// DOWN x ACROSS invocations, each with 8 rows and 4 QUADS columns of the result.
const INVOCATIONS: u32 = DOWN * ACROSS;
const ROWS: u32 = 8u * DOWN;
const COLUMNS: u32 = 4u * QUADS * ACROSS;
// One more than there are elements by fours, against bank conflicts.
const STRIDE: u32 = STEP / 4u + 1u;

// Neighbouring invocations multiply every fourth column: those lie side by side.
fn b_slot(place: vec2<u32>) -> u32 {
    return (place.x % 4u * (COLUMNS / 4u) + place.x / 4u) * STRIDE + place.y / 4u;
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let rows = tile_rows(group.y, ROWS, thread);
    if rows.x >= rows.y {
        return;
    }
    let first_column = group.x * COLUMNS;

    //#include gemm_begin

    let down = thread / ACROSS;
    let across = thread % ACROSS;
    //#repeat $r 8
    //#repeat $q QUADS
    var sum$r_$q = vec4<Sum>();
    //#end
    //#end
    //#include first_sums
    for (var k0 = 0u; k0 < depth(); k0 += STEP) {
        //#include gemm_fill
        for (var k = 0u; k < STEP / 4u; k++) {
            //#repeat $q QUADS
            //#repeat $i 4
            let column$q_$i = held_b(tile_b[($iu * QUADS * ACROSS + $qu * ACROSS + across) * STRIDE + k]);
            //#end
            //#repeat $i 4
            let y$q_$i = vec4<Number>(column$q_0[$i], column$q_1[$i], column$q_2[$i], column$q_3[$i]);
            //#end
            //#end
            //#repeat $r 8
            let x$r = held_a(tile_a[(down + $ru * DOWN) * STRIDE + k]);
            //#repeat $q QUADS
            //#repeat $i 4
            sum$r_$q += product(x$r[$i], y$q_$i);
            //#end
            //#end
            //#end
        }
        workgroupBarrier();
    }

    //#repeat $q QUADS
    {
        let column = first_column + ($qu * ACROSS + across) * 4u;
        if column < params.n {
            //#repeat $r 8
            if rows.x + down + $ru * DOWN < rows.y {
                store(rows.x + down + $ru * DOWN, column, sum$r_$q);
            }
            //#end
        }
    }
    //#end
}
