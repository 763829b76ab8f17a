// A product of two matrices through workgroup memory: 128 invocations, each with 2 x 4 rows and 4 columns of the
// result, ACROSS of them along its columns. Snippets give
//   Number, Sum, product, rounded_a, rounded_b, depth()     the arithmetic (`numbers`)
//   b_lane, fill_b                                          how B gets into its tile (`fill_b`)
//   fn tile_rows(tile, height, thread) -> vec2<u32>         first row of a row of tiles, and the row behind the last
// and the kernel
//   RowState, fn row_state(row) -> RowState                 what it needs to know of four rows of A from `row` on
//   fn load_a(RowState, k) -> vec4<Number>                  their elements at k (any number where there is no such row)
//   fn column_state(column) -> vec4<u32>                    the same for four columns of B
//   fn store(row, column, vec4<Sum>)                        four elements of a row, some perhaps beyond the end
// and `params` with n. Sums run along k in order.
const DOWN: u32 = 128u / ACROSS;
const STEP: u32 = ACROSS / 2u;
// One more than there is, against bank conflicts.
const A_STRIDE: u32 = 2u * DOWN + 1u;
const B_STRIDE: u32 = ACROSS + 1u;

var<workgroup> tile_a: array<vec4<Number>, STEP * A_STRIDE>;
var<workgroup> tile_b: array<vec4<Number>, STEP * B_STRIDE>;

//#include fill_b

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let rows = tile_rows(group.y, DOWN * 8u, thread);
    if rows.x >= rows.y {
        return;
    }
    let first_column = group.x * ACROSS * 4u;

    let a_k = thread % STEP;
    let a_row = thread / STEP;
    let a_state = row_state(rows.x + a_row * 4u);
    let a_place = a_k * A_STRIDE + a_row;

    let lane = b_lane(thread);
    let b_state = column_state(first_column + lane.y * 4u);

    let down = thread / ACROSS;
    let across = thread % ACROSS;
    //#repeat $i 8
    var sum$i = vec4<Sum>();
    //#end
    for (var k0 = 0u; k0 < depth(); k0 += STEP) {
        var a = vec4<Number>();
        if k0 + a_k < depth() {
            a = rounded_a(load_a(a_state, k0 + a_k));
        }
        tile_a[a_place] = a;
        fill_b(thread, lane, b_state, k0);
        workgroupBarrier();
        for (var k = 0u; k < STEP; k++) {
            let x = tile_a[k * A_STRIDE + down];
            let z = tile_a[k * A_STRIDE + down + DOWN];
            let y = tile_b[k * B_STRIDE + across];
            sum0 += product(x.x, y);
            sum1 += product(x.y, y);
            sum2 += product(x.z, y);
            sum3 += product(x.w, y);
            sum4 += product(z.x, y);
            sum5 += product(z.y, y);
            sum6 += product(z.z, y);
            sum7 += product(z.w, y);
        }
        workgroupBarrier();
    }

    let column = first_column + across * 4u;
    if column >= params.n {
        return;
    }
    let row = rows.x + down * 4u;
    //#repeat $i 8
    {
        let place = row + $iu % 4u + $iu / 4u * DOWN * 4u;
        if place < rows.y {
            store(place, column, sum$i);
        }
    }
    //#end
}
