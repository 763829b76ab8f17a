// A product of two matrices in registers, for drivers that emulate subgroups on the processor: there a read costs an
// invocation some fifty multiply-adds, a barrier moves registers to memory, and a broadcast from a known lane is a
// single instruction. Eight lanes make 32 x 32 of the result: each has four rows, and loads four columns for all.
// The kernel gives what `gemm_tiles` says. Arrays have constant indices alone: registers.
const LANES: u32 = 8u;
const EACH: u32 = 4u;
const SIDE: u32 = LANES * EACH;
const QUADS: u32 = SIDE / 4u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let rows = tile_rows(group.y, SIDE, lane);
    if rows.x >= rows.y {
        return;
    }
    let first_row = rows.x + lane;
    let first_column = group.x * SIDE;
    //#repeat $r 4
    let row$r = row_state(first_row + $ru * LANES);
    let column$r = column_state(first_column + $ru * LANES + lane);
    //#end
    var sums = array<vec4<Sum>, EACH * QUADS>();
    for (var k = 0u; k < depth(); k += 4u) {
        //#repeat $r 4
        let a$r = held_a(hold_a(load_a(row$r, k)));
        let b$r = held_b(hold_b(load_b(column$r, k)));
        //#end
        // Of the columns that b$c has, those of lanes 4 $h to 4 $h + 3.
        //#repeat $c 4
        //#repeat $h 2
        {
            //#repeat $i 4
            let column$i = subgroupBroadcast(b$c, 4u * $hu + $iu);
            //#end
            //#repeat $i 4
            let y$i = vec4<Number>(column0[$i], column1[$i], column2[$i], column3[$i]);
            //#repeat $r 4
            sums[$ru * QUADS + 2u * $cu + $hu] += product(a$r[$i], y$i);
            //#end
            //#end
        }
        //#end
        //#end
    }

    // One store in the text: the next vector to store moves to the front.
    for (var row = first_row; row < min(first_row + SIDE, rows.y); row += LANES) {
        var line = array<vec4<Sum>, QUADS + 1u>();
        //#repeat $q 8
        line[$q] = sums[$q];
        //#end
        for (var column = first_column; column < min(first_column + SIDE, params.n); column += 4u) {
            store(row, column, line[0]);
            //#repeat $q 8
            line[$q] = line[$qu + 1u];
            //#end
        }
        //#repeat $q 24
        sums[$q] = sums[$qu + QUADS];
        //#end
    }
}
