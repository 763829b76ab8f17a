//#include gemm_tiles

//#include matrices

// A role is DOWN x ACROSS matrices and the work of one subgroup.
const ROLES: u32 = ROLES_DOWN * ROLES_ACROSS;
const ROWS: u32 = ROLES_DOWN * DOWN * SIZE_M;
const COLUMNS: u32 = ROLES_ACROSS * ACROSS * SIZE_N;
// Rows of a matrix must begin at multiples of 16 bytes; two more than there are elements by fours avoid bank conflicts.
const STRIDE: u32 = STEP / 4u + 2u;
const QUADS: u32 = SIZE_M * SIZE_N / 4u;

var<workgroup> results: array<vec4<f32>, ROLES * QUADS>;

fn b_slot(place: vec2<u32>) -> u32 {
    return place.x * STRIDE + place.y / 4u;
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_size) lanes: u32,
) {
    let rows = tile_rows(group.y, ROWS, thread);
    let first_column = group.x * COLUMNS;
    // Control flow around matrices must be uniform: where there are fewer subgroups than roles, they take them in turns,
    // where there are more, some repeat the last and store nothing.
    let roles = select(0u, ROLES, rows.x < rows.y);
    for (var first_role = 0u; first_role < roles; first_role += subgroups) {
        let role = min(first_role + subgroup, ROLES - 1u);
        let role_row = role / ROLES_ACROSS * (DOWN * SIZE_M);
        let role_column = role % ROLES_ACROSS * (ACROSS * SIZE_N);
        //#include gemm_begin
        //#repeat $r DOWN
        //#repeat $c ACROSS
        var sum$r_$c = MatrixSum();
        //#end
        //#end
        // What a matrix is loaded from must be named before it.
        let stride = STRIDE;
        for (var k0 = 0u; k0 < depth(); k0 += STEP) {
            //#include gemm_fill
            for (var k = 0u; k < STEP / 4u; k += SIZE_K / 4u) {
                //#repeat $c ACROSS
                let place_b$c = (role_column + $cu * SIZE_N) * STRIDE + k;
                let y$c = coopLoad<MatrixB>(&tile_b[place_b$c], stride);
                //#end
                //#repeat $r DOWN
                let place_a$r = (role_row + $ru * SIZE_M) * STRIDE + k;
                let x$r = coopLoadT<MatrixA>(&tile_a[place_a$r], stride);
                //#repeat $c ACROSS
                sum$r_$c = coopMultiplyAdd(x$r, y$c, sum$r_$c);
                //#end
                //#end
            }
            workgroupBarrier();
        }
        let result = role * QUADS;
        let result_stride = SIZE_N / 4u;
        //#repeat $r DOWN
        //#repeat $c ACROSS
        {
            coopStoreT(sum$r_$c, &results[result], result_stride);
            workgroupBarrier();
            if first_role + subgroup < ROLES {
                for (var i = lane; i < QUADS; i += lanes) {
                    let row = rows.x + role_row + $ru * SIZE_M + i / (SIZE_N / 4u);
                    let column = first_column + role_column + $cu * SIZE_N + i % (SIZE_N / 4u) * 4u;
                    if row < rows.y && column < params.n {
                        store(row, column, results[result + i]);
                    }
                }
            }
            workgroupBarrier();
        }
        //#end
        //#end
    }
}
