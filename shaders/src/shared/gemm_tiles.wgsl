// A product of two matrices through workgroup memory: INVOCATIONS invocations make ROWS x COLUMNS of the result.
// Snippets give
//   Number, Sum, product                                    the arithmetic (`numbers`)
//   depth()                                                 steps of a sum
//   HeldA, hold_a, held_a and the same of B                 four numbers as workgroup memory holds them (`held`)
//   fn tile_rows(tile, height, thread) -> vec2<u32>         first row of a row of tiles, and the row behind the last
// and the kernel
//   RowState, fn row_state(row) -> RowState                 what it needs to know of a row of A (any, beyond the last)
//   fn load_a(RowState, k) -> vec4<Number>                  its elements k to k + 3, k below depth(), zeros from there on
//   fn column_state(column) -> u32                          the same for a column of B
//   fn load_b(column, k) -> vec4<Number>
//   fn store(row, column, vec4<Sum>)                        four elements of a row, some perhaps beyond the end
// and `params` with n; for `gemm` alone `first_sums`, from which sums may go on. Sums run along k in order, whatever the tile. `gemm` multiplies by single invocations,
// `gemm_matrix` by subgroups; both give STRIDE, the places of a row or column in workgroup memory, and b_slot.

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
