// A product of two matrices through workgroup memory: 128 invocations, each with 2 x 4 rows and 4 columns of the
// result, ACROSS of them along its columns. The kernel gives
//   RowState, fn row_state(row) -> RowState                 what it needs to know of four rows of A from `row` on
//   fn load_a(RowState, k) -> vec4<f32>                     their elements at k (any number where there is no such row)
//   fn column_state(column) -> vec4<u32>, fn load_b(vec4<u32>, k) -> vec4<f32>   the same for four columns of B
//   fn store(row, column, vec4<f32>)                        four elements of a row, some perhaps beyond the end
// and `params` with m, n, k. Sums run along k in order.
const DOWN: u32 = 128u / ACROSS;
const STEP: u32 = ACROSS / 2u;
// One more than there is, against bank conflicts.
const A_STRIDE: u32 = 2u * DOWN + 1u;
const B_STRIDE: u32 = ACROSS + 1u;

var<workgroup> tile_a: array<vec4<f32>, STEP * A_STRIDE>;
var<workgroup> tile_b: array<vec4<f32>, STEP * B_STRIDE>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_row = group.y * DOWN * 8u;
    let first_column = group.x * ACROSS * 4u;

    let a_k = thread % STEP;
    let a_row = thread / STEP;
    let a_state = row_state(first_row + a_row * 4u);
    let a_place = a_k * A_STRIDE + a_row;

    // Neighbouring invocations read what lies side by side in memory.
    let b_thread = thread % (STEP * ACROSS);
    let b_k = select(b_thread % STEP, b_thread / ACROSS, B_COLUMNS_FIRST);
    let b_column = select(b_thread / STEP, b_thread % ACROSS, B_COLUMNS_FIRST);
    let b_state = column_state(first_column + b_column * 4u);
    let b_place = b_k * B_STRIDE + b_column;

    let down = thread / ACROSS;
    let across = thread % ACROSS;
    //#repeat $i 8
    var sum$i = vec4<f32>(0.0);
    //#end
    for (var k0 = 0u; k0 < params.k; k0 += STEP) {
        var a = vec4<f32>(0.0);
        if k0 + a_k < params.k {
            a = load_a(a_state, k0 + a_k);
            if ROUND_A {
                a = to_f16(a);
            }
        }
        tile_a[a_place] = a;
        if thread < STEP * ACROSS {
            var b = vec4<f32>(0.0);
            if k0 + b_k < params.k {
                b = load_b(b_state, k0 + b_k);
                if ROUND_B {
                    b = to_f16(b);
                }
            }
            tile_b[b_place] = b;
        }
        workgroupBarrier();
        for (var k = 0u; k < STEP; k++) {
            let x = tile_a[k * A_STRIDE + down];
            let z = tile_a[k * A_STRIDE + down + DOWN];
            let y = tile_b[k * B_STRIDE + across];
            sum0 += x.x * y;
            sum1 += x.y * y;
            sum2 += x.z * y;
            sum3 += x.w * y;
            sum4 += z.x * y;
            sum5 += z.y * y;
            sum6 += z.z * y;
            sum7 += z.w * y;
        }
        workgroupBarrier();
    }

    let column = first_column + across * 4u;
    if column >= params.n {
        return;
    }
    let row = first_row + down * 4u;
    //#repeat $i 8
    {
        let place = row + $iu % 4u + $iu / 4u * DOWN * 4u;
        if place < params.m {
            store(place, column, sum$i);
        }
    }
    //#end
}
