// A workgroup takes 64 queries of a head and walks over the keys, 64 at a time. It has SIDE x SIDE invocations;
// invocation (r, c) has queries r, r + SIDE, … (EACH of them), and in turn
//   scores: keys c, c + SIDE, … (EACH of them), summed along the head, of which four lines of q and of k at a time pass
//           through workgroup memory, four numbers in a line or 16 signed bytes;
//   output: vectors c, c + SIDE, … of the head (PIECES of them), in registers; v passes through the same memory.
// In between, probabilities go from the one to the other by workgroup memory, those of 32 keys at a time.
// What an invocation keeps lies in arrays of which every index is a constant: registers.
//#include lines

// Slots of four keys whose values are in workgroup memory at a time.
const SLOTS: u32 = 128u / (SIDE * PIECES);
const OUTPUTS: u32 = EACH * PIECES;

// Lines along the head. While scores are computed, 2 EACH rows for each of 4 lines: queries, then keys. Then the
// values of 4 SLOTS keys, of PIECES rows each.
var<workgroup> tile: array<array<Line, SIDE>, 8u * EACH>;
// Vectors of four keys: 8 slots of each query.
var<workgroup> probabilities: array<array<array<vec4<f32>, 8>, SIDE>, EACH>;

// The scores of a query and four keys as the softmax sees them; beyond the last key, its score again.
fn finish_scores(products: vec4<f32>, row: u32, keys: vec4<u32>, head: u32) -> vec4<f32> {
    var s = products;
    if (params.flags & (HAS_BIAS | HAS_MASK)) != 0u {
        s += added(row, keys, head);
    }
    return clamp(s, vec4<f32>(LOWEST), vec4<f32>(-LOWEST));
}

// The first keys from `key` on that the workgroup's queries see, of which `row` is the first. All must ask together,
// between tiles of keys: what one has found passes through probabilities, for no other memory is left. Multiples of 64 are
// exact as f32.
fn next_keys(thread: u32, row: u32, key: u32, head: u32) -> u32 {
    if (params.flags & HAS_BLOCKS) == 0u {
        return key;
    }
    if thread == 0u {
        probabilities[0][0][0].x = f32(seen_from(row, key, head));
    }
    return u32(workgroupUniformLoad(&probabilities[0][0][0]).x);
}

@compute @workgroup_size(SIDE * SIDE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = group.y;
    let width = params.heads * params.head_dim;
    // First rows of this batch in q and out (from the first query on), and in k and v; where their heads are.
    let query_row = group.z * params.query_length + params.first_query;
    let key_row = group.z * params.key_length;
    let out_place = query_row * width + head * params.head_dim;
    let value_place = key_row * width + head * params.head_dim;
    let query_place = place_of(query_row, head);
    let key_place = place_of(key_row, head);
    let first_query = group.x * 64u;
    let last_query = params.queries - 1u;
    let last_key = params.key_length - 1u;

    let r = thread / SIDE;
    let c = thread % SIDE;
    // What it loads of q and k: a vector of every (SIDE² / 4)th row.
    let load_row = thread / 4u;
    let load_vector = thread % 4u;

    // Of each query: the highest score of all invocations, the sum of this one's probabilities, the output.
    var highest: array<vec4<f32>, GROUPS>;
    var sum: array<vec4<f32>, GROUPS>;
    var output: array<vec4<f32>, OUTPUTS>;
    //#repeat $i GROUPS
    highest[$i] = vec4<f32>(LOWEST);
    //#end

    var key0 = next_keys(thread, first_query, 0u, head);
    for (; key0 < params.key_length; key0 = next_keys(thread, first_query, key0 + 64u, head)) {
        // Scores.
        var dots = array<Dots, EACH * GROUPS>();
        for (var d0 = 0u; d0 < params.head_dim; d0 += 4u * LINE) {
            let d = d0 + load_vector * LINE;
            for (var row = load_row; row < 64u; row += SIDE * SIDE / 4u) {
                let line = load_vector * 2u * EACH + row / SIDE;
                let query = min(first_query + row, last_query);
                tile[line][row % SIDE] = line_of_q(query_place + query * stride(), d);
                let key = min(key0 + row, last_key);
                tile[line + EACH][row % SIDE] = line_of_k(key_place + key * stride(), d);
            }
            workgroupBarrier();
            // Not a constant count, lest the loop be unrolled whole: that would be a lot of code.
            let vectors = min(4u, (params.head_dim - d0 + LINE - 1u) / LINE);
            for (var vector = 0u; vector < vectors; vector++) {
                let line = vector * 2u * EACH;
                //#repeat $g GROUPS
                let keys$g = keys_of(
                    tile[line + EACH + $gu * 4u][c],
                    tile[line + EACH + $gu * 4u + 1u][c],
                    tile[line + EACH + $gu * 4u + 2u][c],
                    tile[line + EACH + $gu * 4u + 3u][c],
                );
                //#end
                //#repeat $i EACH
                {
                    let query = tile[line + $iu][r];
                    //#repeat $g GROUPS
                    dots[$iu * GROUPS + $gu] = add_products(dots[$iu * GROUPS + $gu], query, keys$g);
                    //#end
                }
                //#end
            }
            workgroupBarrier();
        }

        // The new maximum, and how much all that came before shrinks.
        var top = highest;
        var scores: array<vec4<f32>, EACH * GROUPS>;
        //#repeat $g GROUPS
        let keys$g = key0 + c + ($gu * 4u + vec4<u32>(0u, 1u, 2u, 3u)) * SIDE;
        let key_scales$g = key_scales(key_row + min(keys$g, vec4<u32>(last_key)), head);
        //#repeat $i EACH
        {
            let row = first_query + r + $iu * SIDE;
            let scales = query_scale(query_row + min(row, last_query), head) * key_scales$g;
            let s = finish_scores(vec4<f32>(dots[$iu * GROUPS + $gu]) * scales, row, keys$g, head);
            scores[$iu * GROUPS + $gu] = s;
            top[$iu / 4u][$iu % 4u] = max(top[$iu / 4u][$iu % 4u], max(max(s.x, s.y), max(s.z, s.w)));
        }
        //#end
        //#end
        //#repeat $g GROUPS
        probabilities[$gu * SIDE / 8u + c / 8u][r][c % 8u] = top[$g];
        //#end
        workgroupBarrier();
        // So many slots have a key, and of the invocations of a row no more.
        let used = min(16u, params.key_length - key0);
        for (var other = 0u; other < min(SIDE, used); other++) {
            //#repeat $g GROUPS
            top[$g] = max(top[$g], probabilities[$gu * SIDE / 8u + other / 8u][r][other % 8u]);
            //#end
        }
        //#repeat $g GROUPS
        let shrink$g = exp_below4(highest[$g] - top[$g]);
        sum[$g] *= shrink$g;
        //#repeat $i 4
        //#repeat $p PIECES
        output[($gu * 4u + $iu) * PIECES + $pu] *= shrink$g[$i];
        //#end
        //#end
        //#end
        highest = top;
        //#repeat $g GROUPS
        let inside$g = keys$g <= vec4<u32>(last_key);
        //#repeat $i EACH
        {
            let p = exp_below4(scores[$iu * GROUPS + $gu] - top[$iu / 4u][$iu % 4u]);
            let counted = select(vec4<f32>(0.0), p, inside$g);
            scores[$iu * GROUPS + $gu] = counted;
            sum[$iu / 4u][$iu % 4u] += counted.x + counted.y + counted.z + counted.w;
        }
        //#end
        //#end

        // Output. Slot s has the keys of group s / SIDE of invocations (r, s % SIDE).
        for (var slot0 = 0u; slot0 < used; slot0 += SLOTS) {
            // All have read what these probabilities overwrite.
            workgroupBarrier();
            //#repeat $g GROUPS
            if slot0 % 8u == 0u && ($gu * SIDE + c) / 8u == slot0 / 8u {
                //#repeat $i EACH
                probabilities[$i][r][c % 8u] = scores[$iu * GROUPS + $gu];
                //#end
            }
            //#end
            for (var place = thread; place < 8u * EACH * SIDE; place += SIDE * SIDE) {
                let row = place / (SIDE * PIECES);
                let slot = slot0 + row / 4u;
                let key = min(key0 + (slot / SIDE * 4u + row % 4u) * SIDE + slot % SIDE, last_key);
                let value = load_v(value_place + key * width, place % (SIDE * PIECES) * 4u);
                tile[place / SIDE][place % SIDE] = line_of(rounded(value));
            }
            workgroupBarrier();
            for (var slot = 0u; slot < min(SLOTS, used - slot0); slot++) {
                //#repeat $i EACH
                let p$i = probabilities[$i][r][slot0 % 8u + slot];
                //#end
                //#repeat $j 4
                {
                    //#repeat $p PIECES
                    let value$p = value_of(tile[(slot * 4u + $ju) * PIECES + $pu][c]);
                    //#end
                    //#repeat $i EACH
                    //#repeat $p PIECES
                    output[$iu * PIECES + $pu] += p$i[$j] * value$p;
                    //#end
                    //#end
                }
                //#end
            }
        }
        workgroupBarrier();
    }

    // The whole sums.
    //#repeat $g GROUPS
    probabilities[$gu * SIDE / 8u + c / 8u][r][c % 8u] = sum[$g];
    //#end
    workgroupBarrier();
    for (var step = SIDE / 2u; step > 0u; step >>= 1u) {
        if c < step {
            let other = c + step;
            //#repeat $g GROUPS
            probabilities[$gu * SIDE / 8u + c / 8u][r][c % 8u] += probabilities[$gu * SIDE / 8u + other / 8u][r][other % 8u];
            //#end
        }
        workgroupBarrier();
    }
    //#repeat $g GROUPS
    let total$g = max(probabilities[$gu * SIDE / 8u][r][0], vec4<f32>(LEAST_SUM));
    //#repeat $i 4
    {
        let query = first_query + r + ($gu * 4u + $iu) * SIDE;
        if query <= last_query {
            //#repeat $p PIECES
            store(out_place + query * width, ($pu * SIDE + c) * 4u, output[($gu * 4u + $iu) * PIECES + $pu] / total$g[$i]);
            //#end
        }
    }
    //#end
    //#end
}
