// A product of two matrices through workgroup memory: DOWN x ACROSS invocations, each with 8 rows and 4 QUADS columns
// of the result. Snippets give
//   Number, Sum, product, depth()                           the arithmetic (`numbers`)
//   HeldA, hold_a, held_a and the same of B                 four numbers as workgroup memory holds them (`held`)
//   fn tile_rows(tile, height, thread) -> vec2<u32>         first row of a row of tiles, and the row behind the last
// and the kernel
//   RowState, fn row_state(row) -> RowState                 what it needs to know of a row of A (any, beyond the last)
//   fn load_a(RowState, k) -> vec4<Number>                  its elements k to k + 3, k below depth(), zeros from there on
//   fn column_state(column) -> u32                          the same for a column of B
//   fn load_b(column, k) -> vec4<Number>
//   fn store(row, column, vec4<Sum>)                        four elements of a row, some perhaps beyond the end
// and `params` with n. Sums run along k in order, whatever the tile.
const INVOCATIONS: u32 = DOWN * ACROSS;
const ROWS: u32 = 8u * DOWN;
const COLUMNS: u32 = 4u * QUADS * ACROSS;
const STEP: u32 = 16u;
// Of a row or column: its elements by fours, and one place more against bank conflicts.
const STRIDE: u32 = STEP / 4u + 1u;

var<workgroup> tile_a: array<HeldA, ROWS * STRIDE>;
var<workgroup> tile_b: array<HeldB, COLUMNS * STRIDE>;

// Four elements from k on of a row, and of a column.
fn next_a(row: RowState, k: u32) -> vec4<Number> {
    if k < depth() {
        return load_a(row, k);
    }
    return vec4<Number>();
}

fn next_b(column: u32, k: u32) -> vec4<Number> {
    if k < depth() {
        return load_b(column, k);
    }
    return vec4<Number>();
}

// Column and first k of a load of B: neighbouring invocations read what lies side by side in memory.
fn b_place(load: u32) -> vec2<u32> {
    if B_COLUMNS_FIRST {
        return vec2<u32>(load % COLUMNS, load / COLUMNS * 4u);
    }
    return vec2<u32>(load / (STEP / 4u), load % (STEP / 4u) * 4u);
}

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

    let a_k = thread % (STEP / 4u) * 4u;
    //#repeat $i LOADS_A
    let a_row$i = (thread + $iu * INVOCATIONS) / (STEP / 4u);
    let a_state$i = row_state(rows.x + a_row$i);
    var a$i = next_a(a_state$i, a_k);
    //#end
    //#repeat $i LOADS_B
    let b_place$i = b_place(thread + $iu * INVOCATIONS);
    let b_state$i = column_state(first_column + b_place$i.x);
    var b$i = next_b(b_state$i, b_place$i.y);
    //#end

    let down = thread / ACROSS;
    let across = thread % ACROSS;
    //#repeat $r 8
    //#repeat $q QUADS
    var sum$r_$q = vec4<Sum>();
    //#end
    //#end
    for (var k0 = 0u; k0 < depth(); k0 += STEP) {
        //#repeat $i LOADS_A
        tile_a[a_row$i * STRIDE + a_k / 4u] = hold_a(a$i);
        //#end
        //#repeat $i LOADS_B
        tile_b[b_slot(b_place$i)] = hold_b(b$i);
        //#end
        workgroupBarrier();
        // The next tile is on its way while this one is multiplied.
        //#repeat $i LOADS_A
        a$i = next_a(a_state$i, k0 + STEP + a_k);
        //#end
        //#repeat $i LOADS_B
        b$i = next_b(b_state$i, k0 + STEP + b_place$i.y);
        //#end
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
