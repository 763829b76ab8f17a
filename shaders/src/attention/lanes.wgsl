// Attention without workgroup memory, for drivers that emulate subgroups on the processor: there a read costs an
// invocation some fifty multiply-adds, a barrier moves registers to memory, and a broadcast from a known lane is a
// single instruction. Eight lanes take 8 EACH queries of a head, EACH each, and walk over the keys, eight at a time:
// a lane loads one for all. Arrays have constant indices alone: registers.
const LANES: u32 = 8u;

// Scores as the softmax sees them.
fn finished(dots: vec4<f32>, added: vec4<f32>) -> vec4<f32> {
    return clamp(dots * params.scale + added, vec4<f32>(LOWEST), vec4<f32>(-LOWEST));
}

fn highest_of(x: vec4<f32>) -> f32 {
    return max(max(x.x, x.y), max(x.z, x.w));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let width = params.heads * params.head_dim;
    // First element of this batch and head in q and out (from the first query on), and in k and v.
    let out_place = (group.z * params.query_length + params.first_query) * width + group.y * params.head_dim;
    let key_place = group.z * params.key_length * width + group.y * params.head_dim;
    let last_query = params.queries - 1u;
    let last_key = params.key_length - 1u;
    let first_query = group.x * LANES * EACH + lane;

    // A vector is loaded and the others move up: one load in the text.
    var queries: array<vec4<f32>, EACH * (VECTORS + 1u)>;
    //#repeat $r EACH
    let row$r = out_place + min(first_query + $ru * LANES, last_query) * width;
    //#end
    for (var d = 0u; d < params.head_dim; d += 4u) {
        //#repeat $r EACH
        queries[$ru * (VECTORS + 1u) + VECTORS] = rounded(q[(row$r + d) / 4u]);
        //#repeat $d VECTORS
        queries[$ru * (VECTORS + 1u) + $du] = queries[$ru * (VECTORS + 1u) + $du + 1u];
        //#end
        //#end
    }

    var highest = array<f32, EACH>();
    var sum = array<f32, EACH>();
    var output = array<vec4<f32>, EACH * (VECTORS + 1u)>();
    //#repeat $r EACH
    highest[$r] = LOWEST;
    //#end
    let first_row = group.x * LANES * EACH;
    var key0 = seen_from(first_row, 0u, group.y);
    for (; key0 < params.key_length; key0 = seen_from(first_row, key0 + LANES, group.y)) {
        let key = min(key0 + lane, last_key);
        let key_row = key_place + key * width;
        var scores = array<f32, EACH * LANES>();
        //#repeat $d VECTORS
        {
            let part = rounded(k[key_row / 4u + $du]);
            //#repeat $j 8
            let part$j = subgroupBroadcast(part, $ju);
            //#repeat $r EACH
            scores[$ru * LANES + $ju] += dot(queries[$ru * (VECTORS + 1u) + $du], part$j);
            //#end
            //#end
        }
        //#end

        var added = 0.0;
        if (params.flags & HAS_MASK) != 0u {
            added = mask[key];
        }
        let left = vec4<u32>(params.key_length - key0);
        let low_in = vec4<u32>(0u, 1u, 2u, 3u) < left;
        let high_in = vec4<u32>(4u, 5u, 6u, 7u) < left;
        //#repeat $j 8
        let added$j = subgroupBroadcast(added, $ju);
        //#end
        //#repeat $r EACH
        let low$r = finished(
            vec4<f32>(scores[$ru * 8u], scores[$ru * 8u + 1u], scores[$ru * 8u + 2u], scores[$ru * 8u + 3u]),
            vec4<f32>(added0, added1, added2, added3),
        );
        let high$r = finished(
            vec4<f32>(scores[$ru * 8u + 4u], scores[$ru * 8u + 5u], scores[$ru * 8u + 6u], scores[$ru * 8u + 7u]),
            vec4<f32>(added4, added5, added6, added7),
        );
        // Beyond the last key comes its score again: the maximum holds.
        let top$r = max(highest[$r], highest_of(max(low$r, high$r)));
        let shrink$r = exp_below(highest[$r] - top$r);
        highest[$r] = top$r;
        let p_low$r = select(vec4<f32>(), exp_below4(low$r - top$r), low_in);
        let p_high$r = select(vec4<f32>(), exp_below4(high$r - top$r), high_in);
        sum[$r] = sum[$r] * shrink$r + dot(p_low$r + p_high$r, vec4<f32>(1.0));
        //#end

        //#repeat $d VECTORS
        {
            let part = rounded(v[key_row / 4u + $du]);
            //#repeat $r EACH
            var to$r = output[$ru * (VECTORS + 1u) + $du] * shrink$r;
            //#end
            //#repeat $j 4
            let value$j = subgroupBroadcast(part, $ju);
            let value_4_$j = subgroupBroadcast(part, 4u + $ju);
            //#repeat $r EACH
            to$r += p_low$r[$j] * value$j;
            to$r += p_high$r[$j] * value_4_$j;
            //#end
            //#end
            //#repeat $r EACH
            output[$ru * (VECTORS + 1u) + $du] = to$r;
            //#end
        }
        //#end
    }

    for (var d = 0u; d < params.head_dim; d += 4u) {
        //#repeat $r EACH
        if first_query + $ru * LANES <= last_query {
            out[(row$r + d) / 4u] = output[$ru * (VECTORS + 1u)] / max(sum[$r], LEAST_SUM);
        }
        //#repeat $d VECTORS
        output[$ru * (VECTORS + 1u) + $du] = output[$ru * (VECTORS + 1u) + $du + 1u];
        //#end
        //#end
    }
}
