// Attention by cooperative matrices of SIZE x SIZE: a subgroup takes SIZE queries of a head (a role), a workgroup ROLES of
// them, and walks over the keys, KEYS at a time. Where matrices keep their elements is the driver's secret, so scores pass
// through workgroup memory, where any invocation computes the softmax of its share of a row, and rows of the output cannot
// be scaled in registers. Therefore probabilities are counted from a level that is raised only when a score is SLACK above
// it: then the outputs, too, pass through workgroup memory. Levels are whole powers of two, so that raising one changes no
// bit of a probability rounded to f16 (unless it is next to nothing).
//#include matrices

const ROLES: u32 = 4u;
const ROWS: u32 = ROLES * SIZE;
// Rows of a matrix of f16 must begin at multiples of 16 bytes; more vectors than there are elements by fours avoid bank
// conflicts.
const STRIDE: u32 = BOUND / 4u + 2u;
const SCORE_STRIDE: u32 = KEYS / 4u + 1u;
const PROBABILITY_STRIDE: u32 = KEYS / 4u + 2u;
// Base-2 logarithm of the highest probability before a level is raised.
const SLACK: f32 = 8.0;
const LOG2_E: f32 = 1.4426950408889634;

// Queries come in SLICES of their elements, as many at a time as a tile of keys has.
const SLICE_VECTORS: u32 = BOUND / 4u / SLICES;
const SLICE_STRIDE: u32 = SLICE_VECTORS + 2u;
// Values lie by elements of the head, those of a tile's keys side by side.
const VALUE_STRIDE: u32 = KEYS / 4u + 2u;
const LOAD_ROWS: u32 = LOADERS * 4u / BOUND;

// Queries, then keys and values in turn.
var<workgroup> tile: array<vec4<f16>, max(BOUND * VALUE_STRIDE, max(KEYS * STRIDE, ROWS * SLICE_STRIDE))>;
// Scores; then outputs on their way to be scaled.
var<workgroup> scores: array<vec4<f32>, ROWS * SCORE_STRIDE>;
var<workgroup> probabilities: array<vec4<f16>, ROWS * PROBABILITY_STRIDE>;
// What the outputs of a row are multiplied with.
var<workgroup> factors: array<f32, ROWS>;
// Shares of the sums of rows.
var<workgroup> sums: array<f32, INVOCATIONS>;
// Whether this tile of keys has raised a level.
var<workgroup> raised: bool;
// What one invocation has found for all.
var<workgroup> next_key: u32;

// The first keys from `key` on that the workgroup's queries see, of which `row` is the first. All must ask together.
fn next_keys(thread: u32, row: u32, key: u32, head: u32) -> u32 {
    if (params.flags & HAS_BLOCKS) == 0u {
        return key;
    }
    if thread == 0u {
        next_key = seen_from(row, key, head);
    }
    return workgroupUniformLoad(&next_key);
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let head = group.y;
    let width = params.heads * params.head_dim;
    // First element of this batch and head in q and out (from the first query on), and in k and v.
    let out_place = (group.z * params.query_length + params.first_query) * width + head * params.head_dim;
    let key_place = group.z * params.key_length * width + head * params.head_dim;
    let first_query = group.x * ROWS;
    let last_query = params.queries - 1u;
    let last_key = params.key_length - 1u;

    // LOADERS invocations load keys and values, BLOCKS of four vectors each.
    let loads = thread < LOADERS;
    let load_vector = thread % (BOUND / 4u);
    let load_row = thread / (BOUND / 4u);
    let inside = loads && load_vector * 4u < params.head_dim;
    // SHARERS of them compute the softmax of a row, of VECTORS vectors of four keys each.
    let row = thread / SHARERS;
    let share = thread % SHARERS;

    // Where there are fewer subgroups than roles, they take them in turns; where there are more, some repeat the last and
    // store nothing.
    for (var first_role = 0u; first_role < ROLES; first_role += subgroups) {
        let role_row = min(first_role + subgroup, ROLES - 1u) * SIZE;
        //#repeat $s SLICES
        //#repeat $d SLICE_DEPTH
        var q$s_$d = MatrixA();
        //#end
        //#end
        //#repeat $d DEPTH
        var sum$d = MatrixSum();
        //#end
        // What a matrix is loaded from must be named before it.
        let stride = STRIDE;
        let value_stride = VALUE_STRIDE;
        let score_stride = SCORE_STRIDE;
        let probability_stride = PROBABILITY_STRIDE;
        // All queries, some of their elements at a time.
        let slice_stride = SLICE_STRIDE;
        //#repeat $s SLICES
        {
            //#repeat $i LOADS
            {
                let load = thread + $iu * INVOCATIONS;
                let query = min(first_query + load / SLICE_VECTORS, last_query);
                let vector = $su * SLICE_VECTORS + load % SLICE_VECTORS;
                var x = vec4<f32>();
                if vector * 4u < params.head_dim {
                    x = q[(out_place + query * width) / 4u + vector];
                }
                tile[load / SLICE_VECTORS * SLICE_STRIDE + load % SLICE_VECTORS] = vec4<f16>(x);
            }
            //#end
            workgroupBarrier();
            //#repeat $d SLICE_DEPTH
            let place$d = role_row * SLICE_STRIDE + $du * (SIZE / 4u);
            q$s_$d = coopLoadT<MatrixA>(&tile[place$d], slice_stride);
            //#end
            workgroupBarrier();
        }
        //#end

        var following = next_keys(thread, first_query, 0u, head);
        //#repeat $b BLOCKS
        //#repeat $i 4
        var next$b_$i = vec4<f32>();
        if inside {
            let key = following + load_row + ($bu * 4u + $iu) * LOAD_ROWS;
            next$b_$i = k[(key_place + min(key, last_key) * width) / 4u + load_vector];
        }
        //#end
        //#end
        // Scores as the softmax sees them are `unit` of those in memory, and logarithms to the base of 2.
        let extra = (params.flags & (HAS_BIAS | HAS_MASK)) != 0u;
        let unit = select(params.scale * LOG2_E, 1.0, extra);
        var level = LOWEST;
        var total = 0.0;
        while following < params.key_length {
            let key0 = following;
            following = next_keys(thread, first_query, key0 + KEYS, head);
            if thread == 0u {
                raised = false;
            }
            //#repeat $b BLOCKS
            //#repeat $i 4
            if loads {
                tile[(load_row + ($bu * 4u + $iu) * LOAD_ROWS) * STRIDE + load_vector] = vec4<f16>(next$b_$i);
            }
            //#end
            //#end
            workgroupBarrier();
            // Values are on their way while scores are computed: of four keys side by side, for they are transposed.
            //#repeat $b BLOCKS
            //#repeat $i 4
            if inside {
                let key = key0 + ($bu * LOAD_ROWS + load_row) * 4u + $iu;
                next$b_$i = v[(key_place + min(key, last_key) * width) / 4u + load_vector];
            }
            //#end
            //#end
            //#repeat $j ACROSS
            {
                var score = MatrixSum();
                //#repeat $s SLICES
                //#repeat $d SLICE_DEPTH
                let place$s_$d = $ju * SIZE * STRIDE + $su * SLICE_VECTORS + $du * (SIZE / 4u);
                let keys$s_$d = coopLoad<MatrixB>(&tile[place$s_$d], stride);
                score = coopMultiplyAdd(q$s_$d, keys$s_$d, score);
                //#end
                //#end
                let place = role_row * SCORE_STRIDE + $ju * (SIZE / 4u);
                coopStoreT(score, &scores[place], score_stride);
            }
            //#end
            workgroupBarrier();
            //#repeat $b BLOCKS
            if loads {
                let block = array(next$b_0, next$b_1, next$b_2, next$b_3);
                let place = load_vector * 4u * VALUE_STRIDE + $bu * LOAD_ROWS + load_row;
                //#repeat $c 4
                tile[place + $cu * VALUE_STRIDE] = vec4<f16>(vec4<f32>(block[0][$c], block[1][$c], block[2][$c], block[3][$c]));
                //#end
            }
            //#end
            // The next keys are on their way while values are multiplied.
            //#repeat $b BLOCKS
            //#repeat $i 4
            if inside {
                let key = following + load_row + ($bu * 4u + $iu) * LOAD_ROWS;
                next$b_$i = k[(key_place + min(key, last_key) * width) / 4u + load_vector];
            }
            //#end
            //#end

            if extra {
                for (var i = 0u; i < VECTORS; i++) {
                    let place = row * SCORE_STRIDE + share * VECTORS + i;
                    let keys = key0 + (share * VECTORS + i) * 4u + vec4<u32>(0u, 1u, 2u, 3u);
                    let s = scores[place] * params.scale + added(first_query + row, keys, head);
                    scores[place] = clamp(s * LOG2_E, vec4<f32>(LOWEST), vec4<f32>(-LOWEST));
                }
                workgroupBarrier();
            }
            // All sharers of a row find the same maximum.
            var tops = scores[row * SCORE_STRIDE] * unit;
            for (var i = 1u; i < KEYS / 4u; i++) {
                tops = max(tops, scores[row * SCORE_STRIDE + i] * unit);
            }
            let top = max(max(tops.x, tops.y), max(tops.z, tops.w));
            if top > level + SLACK {
                let raised_level = ceil(top);
                let factor = exp2(max(level - raised_level, -200.0));
                level = raised_level;
                total *= factor;
                if share == 0u {
                    factors[row] = factor;
                }
                // Whoever writes, writes the same.
                raised = true;
            } else if share == 0u {
                factors[row] = 1.0;
            }
            //#repeat $i VECTORS
            {
                let vector = share * VECTORS + $iu;
                let keys = key0 + vector * 4u + vec4<u32>(0u, 1u, 2u, 3u);
                let s = max(scores[row * SCORE_STRIDE + vector] * unit - level, vec4<f32>(-200.0));
                let p = vec4<f16>(select(vec4<f32>(), exp2(s), keys <= vec4<u32>(last_key)));
                probabilities[row * PROBABILITY_STRIDE + vector] = p;
                let counted = vec4<f32>(p);
                total += counted.x + counted.y + counted.z + counted.w;
            }
            //#end
            // All have stored by then.
            if workgroupUniformLoad(&raised) {
                //#repeat $d DEPTH
                {
                    let place = role_row * SCORE_STRIDE;
                    coopStoreT(sum$d, &scores[place], score_stride);
                    workgroupBarrier();
                    for (var i = thread; i < ROWS * (SIZE / 4u); i += INVOCATIONS) {
                        scores[i / (SIZE / 4u) * SCORE_STRIDE + i % (SIZE / 4u)] *= factors[i / (SIZE / 4u)];
                    }
                    workgroupBarrier();
                    sum$d = coopLoadT<MatrixSum>(&scores[place], score_stride);
                    workgroupBarrier();
                }
                //#end
            }
            //#repeat $j ACROSS
            {
                let place = role_row * PROBABILITY_STRIDE + $ju * (SIZE / 4u);
                let p = coopLoadT<MatrixA>(&probabilities[place], probability_stride);
                //#repeat $d DEPTH
                let place$d = $du * SIZE * VALUE_STRIDE + $ju * (SIZE / 4u);
                let values$d = coopLoad<MatrixB>(&tile[place$d], value_stride);
                sum$d = coopMultiplyAdd(p, values$d, sum$d);
                //#end
            }
            //#end
            workgroupBarrier();
        }

        sums[thread] = total;
        workgroupBarrier();
        if share == 0u {
            var sum = 0.0;
            for (var i = 0u; i < SHARERS; i++) {
                sum += sums[thread + i];
            }
            factors[row] = 1.0 / max(sum, LEAST_SUM);
        }
        //#repeat $d DEPTH
        {
            let place = role_row * SCORE_STRIDE;
            coopStoreT(sum$d, &scores[place], score_stride);
            workgroupBarrier();
            for (var i = thread; i < ROWS * (SIZE / 4u); i += INVOCATIONS) {
                let result_row = i / (SIZE / 4u);
                let vector = i % (SIZE / 4u);
                let query = first_query + result_row;
                let d = $du * SIZE + vector * 4u;
                let mine = result_row / SIZE >= first_role && result_row / SIZE < first_role + subgroups;
                if mine && query <= last_query && d < params.head_dim {
                    out[(out_place + query * width + d) / 4u] = scores[result_row * SCORE_STRIDE + vector] * factors[result_row];
                }
            }
            workgroupBarrier();
        }
        //#end
    }
}
