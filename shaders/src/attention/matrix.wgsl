// Attention by cooperative matrices of SIZE x SIZE: a subgroup takes SIZE queries of a head (a role), a workgroup ROLES of
// them, and walks over the keys, KEYS at a time. Where matrices keep their elements is the driver's secret, so scores pass
// through workgroup memory, where any invocation computes the softmax of its share of a row, and rows of the output cannot
// be scaled in registers. Therefore probabilities are counted from a level that is raised only when a score is SLACK above
// it: then the outputs, too, pass through workgroup memory. Levels are whole powers of two, so that raising one changes no
// bit of a probability rounded to f16 (unless it is next to nothing). Queries stay in registers (HELD) or are read from
// workgroup memory for each tile of keys (READ).
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
// The score of a key that is not there: below LOWEST, which a mask may give to all that are.
const BELOW_ALL: f32 = -3.402823e38;

// Values lie by elements of the head, those of a tile's keys side by side.
const VALUE_STRIDE: u32 = KEYS / 4u + 2u;
const LOAD_ROWS: u32 = LOADERS * 4u / BOUND;
// Queries that are HELD in registers leave their place to keys and values.
const KEYS_AT: u32 = (1u - HELD) * ROWS * STRIDE;

// Queries; from KEYS_AT on keys and values in turn.
var<workgroup> tile: array<vec4<f16>, max(ROWS * STRIDE, KEYS_AT + max(BOUND * VALUE_STRIDE, KEYS * STRIDE))>;
// Scores; then outputs on their way to be scaled.
var<workgroup> scores: array<vec4<f32>, ROWS * SCORE_STRIDE>;
var<workgroup> probabilities: array<vec4<f16>, ROWS * PROBABILITY_STRIDE>;
// What the outputs of a row are multiplied with.
var<workgroup> factors: array<f32, ROWS>;
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
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_size) lanes: u32,
) {
    // Counted so that neighbours are of one subgroup, for they share rows.
    let thread = subgroup * lanes + lane;
    let head = group.y;
    let width = params.heads * params.head_dim;
    // First element of this batch and head in q and out (from the first query on), and in k and v.
    let out_place = (group.z * params.query_length + params.first_query) * width + head * params.head_dim;
    let key_place = group.z * params.key_length * width + head * params.head_dim;
    let first_query = group.x * ROWS;
    let last_query = params.queries - 1u;
    // From one key to the next, and from the first to the last, in vectors.
    let key_stride = width / 4u;
    let last_key = (params.key_length - 1u) * key_stride;

    // LOADERS invocations load keys and values, BLOCKS of four vectors each.
    let loads = thread < LOADERS;
    let load_vector = thread % (BOUND / 4u);
    let load_row = thread / (BOUND / 4u);
    let inside = loads && load_vector * 4u < params.head_dim;
    let key_vector = key_place / 4u + load_vector;
    // SHARERS of them compute the softmax of a row, of VECTORS vectors of four keys each.
    let row = thread / SHARERS;
    let share = thread % SHARERS;

    // Where there are fewer subgroups than roles, they take them in turns; where there are more, some repeat the last and
    // store nothing. In a turn rows of the other roles have scores of anything, which change no other row.
    for (var first_role = 0u; first_role < ROLES; first_role += subgroups) {
        let role_row = min(first_role + subgroup, ROLES - 1u) * SIZE;
        //#repeat $d DEPTH
        var sum$d = MatrixSum();
        //#end
        // What a matrix is loaded from must be named before it.
        let stride = STRIDE;
        let value_stride = VALUE_STRIDE;
        let score_stride = SCORE_STRIDE;
        let probability_stride = PROBABILITY_STRIDE;
        // Queries beyond the last repeat it.
        for (var load = thread; load < ROWS * (BOUND / 4u); load += INVOCATIONS) {
            let query = min(first_query + load / (BOUND / 4u), last_query);
            let vector = load % (BOUND / 4u);
            var x = vec4<f32>();
            if vector * 4u < params.head_dim {
                x = q[(out_place + query * width) / 4u + vector];
            }
            tile[load / (BOUND / 4u) * STRIDE + vector] = vec4<f16>(x);
        }
        //#repeat $held HELD
        workgroupBarrier();
        //#repeat $d DEPTH
        let query_place$d = role_row * STRIDE + $du * (SIZE / 4u);
        let queries$d = coopLoadT<MatrixA>(&tile[query_place$d], stride);
        //#end
        workgroupBarrier();
        //#end

        var following = next_keys(thread, first_query, 0u, head);
        //#repeat $b BLOCKS
        //#repeat $i 4
        var next$b_$i = vec4<f32>();
        if inside {
            let key = (following + load_row + ($bu * 4u + $iu) * LOAD_ROWS) * key_stride;
            next$b_$i = k[key_vector + min(key, last_key)];
        }
        //#end
        //#end
        let extra = (params.flags & (HAS_BIAS | HAS_MASK)) != 0u;
        var level = LOWEST;
        var total = 0.0;
        while following < params.key_length {
            let key0 = following;
            following = next_keys(thread, first_query, key0 + KEYS, head);
            // Where this invocation loads its first value of the tile, and its first key of the next.
            let first_value = (key0 + load_row * 4u) * key_stride;
            let first_next_key = (following + load_row) * key_stride;
            if thread == 0u {
                raised = false;
            }
            //#repeat $b BLOCKS
            //#repeat $i 4
            if loads {
                tile[KEYS_AT + (load_row + ($bu * 4u + $iu) * LOAD_ROWS) * STRIDE + load_vector] = vec4<f16>(next$b_$i);
            }
            //#end
            //#end
            workgroupBarrier();
            // Values are on their way while scores are computed: of four keys side by side, for they are transposed.
            //#repeat $b BLOCKS
            //#repeat $i 4
            if inside {
                let key = first_value + ($bu * LOAD_ROWS * 4u + $iu) * key_stride;
                next$b_$i = v[key_vector + min(key, last_key)];
            }
            //#end
            //#end
            //#repeat $j ACROSS
            var score$j = MatrixSum();
            //#end
            //#repeat $d DEPTH
            //#repeat $read READ
            let query_place$d = role_row * STRIDE + $du * (SIZE / 4u);
            let queries$d = coopLoadT<MatrixA>(&tile[query_place$d], stride);
            //#end
            //#repeat $j ACROSS
            let key_place$d_$j = KEYS_AT + $ju * SIZE * STRIDE + $du * (SIZE / 4u);
            let keys$d_$j = coopLoad<MatrixB>(&tile[key_place$d_$j], stride);
            score$j = coopMultiplyAdd(queries$d, keys$d_$j, score$j);
            //#end
            //#end
            //#repeat $j ACROSS
            let score_place$j = role_row * SCORE_STRIDE + $ju * (SIZE / 4u);
            coopStoreT(score$j, &scores[score_place$j], score_stride);
            //#end
            workgroupBarrier();
            //#repeat $b BLOCKS
            if loads {
                let block = array(next$b_0, next$b_1, next$b_2, next$b_3);
                let place = KEYS_AT + load_vector * 4u * VALUE_STRIDE + $bu * LOAD_ROWS + load_row;
                //#repeat $c 4
                tile[place + $cu * VALUE_STRIDE] = vec4<f16>(vec4<f32>(block[0][$c], block[1][$c], block[2][$c], block[3][$c]));
                //#end
            }
            //#end
            // The next keys are on their way while values are multiplied.
            //#repeat $b BLOCKS
            //#repeat $i 4
            if inside {
                let key = first_next_key + ($bu * 4u + $iu) * LOAD_ROWS * key_stride;
                next$b_$i = k[key_vector + min(key, last_key)];
            }
            //#end
            //#end

            // Scores as logarithms to the base of 2.
            //#repeat $i VECTORS
            var s$i = scores[row * SCORE_STRIDE + share * VECTORS + $iu] * (params.scale * LOG2_E);
            //#end
            if extra || key0 + KEYS > params.key_length {
                //#repeat $i VECTORS
                {
                    let keys = key0 + (share * VECTORS + $iu) * 4u + vec4<u32>(0u, 1u, 2u, 3u);
                    let s = clamp(s$i + added(first_query + row, keys, head) * LOG2_E, vec4<f32>(LOWEST), vec4<f32>(-LOWEST));
                    s$i = select(vec4<f32>(BELOW_ALL), s, keys < vec4<u32>(params.key_length));
                }
                //#end
            }
            // All sharers of a row find the same maximum.
            var tops = s0;
            //#repeat $i VECTORS
            tops = max(tops, s$i);
            //#end
            var top = max(max(tops.x, tops.y), max(tops.z, tops.w));
            for (var apart = 1u; apart < SHARERS; apart *= 2u) {
                top = max(top, subgroupShuffleXor(top, apart));
            }
            var factor = 1.0;
            if top > level + SLACK {
                let raised_level = ceil(top);
                factor = exp2(max(level - raised_level, -200.0));
                level = raised_level;
                total *= factor;
                // Whoever writes, writes the same.
                raised = true;
            }
            if share == 0u {
                factors[row] = factor;
            }
            //#repeat $i VECTORS
            {
                let p = vec4<f16>(exp2(max(s$i - level, vec4<f32>(-200.0))));
                probabilities[row * PROBABILITY_STRIDE + share * VECTORS + $iu] = p;
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
                let place$d = KEYS_AT + $du * SIZE * VALUE_STRIDE + $ju * (SIZE / 4u);
                let values$d = coopLoad<MatrixB>(&tile[place$d], value_stride);
                sum$d = coopMultiplyAdd(p, values$d, sum$d);
                //#end
            }
            //#end
            workgroupBarrier();
        }

        for (var apart = 1u; apart < SHARERS; apart *= 2u) {
            total += subgroupShuffleXor(total, apart);
        }
        if share == 0u {
            factors[row] = 1.0 / max(total, LEAST_SUM);
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
