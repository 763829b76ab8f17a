//#include matrices

// Vectors of four of a product and of a factor.
const QUADS: u32 = SIZE_M * SIZE_N / 4u;
const FACTOR_QUADS: u32 = max(SIZE_M, SIZE_N) * SIZE_K / 4u;

// Two matrices, one below the other, and the products of both with both, transposed.
var<workgroup> factors: array<vec4<f16>, 2u * FACTOR_QUADS>;
var<workgroup> results: array<vec4<f32>, 4u * QUADS>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    if thread < 2u * FACTOR_QUADS {
        let numbers = vec4<f32>((vec4<u32>(4u * thread) + vec4<u32>(0u, 1u, 2u, 3u)) % 3u) - 1.0;
        factors[thread] = vec4<f16>(params.factor * numbers);
    }
    workgroupBarrier();
    // What a matrix is loaded from must be named before it.
    let stride = SIZE_K / 4u;
    //#repeat $i 2
    let place$i = $iu * FACTOR_QUADS;
    let a$i = coopLoadT<MatrixA>(&factors[place$i], stride);
    let b$i = coopLoad<MatrixB>(&factors[place$i], stride);
    //#end
    //#repeat $i 2
    //#repeat $j 2
    var sum$i_$j = MatrixSum();
    //#end
    //#end
    // The factors stay: a unit multiplies them anew, only a driver that emulates one might not.
    // A workgroup does the same work whatever the size of its subgroups: fewer of them go round more often.
    let turns = max(SUBGROUPS / subgroups, 1u);
    // Control flow around matrices must be uniform: nobody returns early.
    let counts = flat(group) < params.groups;
    let rounds = select(0u, params.rounds * turns, counts);
    for (var round = 0u; round < rounds; round += 1u) {
        //#repeat $step STEPS
        //#repeat $i 2
        //#repeat $j 2
        sum$i_$j = coopMultiplyAdd(a$i, b$j, sum$i_$j);
        //#end
        //#end
        //#end
    }
    // All subgroups have the same numbers.
    let result_stride = SIZE_N / 4u;
    //#repeat $i 2
    //#repeat $j 2
    let result$i_$j = (2u * $iu + $ju) * QUADS;
    coopStoreT(sum$i_$j, &results[result$i_$j], result_stride);
    //#end
    //#end
    workgroupBarrier();
    let quad = thread / 4u % QUADS;
    let total = (results[quad] + results[QUADS + quad]) + (results[2u * QUADS + quad] + results[3u * QUADS + quad]);
    if counts {
        out[flat(group) * INVOCATIONS + thread] = total[thread % 4u] / f32(turns);
    }
}
