//#include unpack

// Scale and minimum of all with those of groups of 32, fifth bits, low bits; rows in vectors, of which these take 1, 2
// and 8.
@group(0) @binding(1) var<storage, read> weight: array<vec4<u32>>;

const WEIGHT_BLOCK = select(9u, 11u, WEIGHT_FIFTH);

fn weight_row(row: u32) -> u32 {
    return row * (params.k / 256u * WEIGHT_BLOCK);
}

// Scale and minimum of a group; the last four groups have their low bits apart.
fn weight_factors(head: vec4<u32>, group: u32) -> vec2<f32> {
    let byte = (group & 3u) * 8u;
    let first = head.yz >> vec2<u32>(byte);
    let apart = (vec2<u32>(head.w) >> vec2<u32>(byte, byte + 4u)) & vec2<u32>(15u);
    let pair = select(first & vec2<u32>(63u), apart | ((first >> vec2<u32>(2u)) & vec2<u32>(48u)), group >= 4u);
    return unpack2x16float(head.x) * vec2<f32>(pair);
}

// Four elements of a group. Two groups share their bytes of low bits, all groups those of fifth bits.
fn weight_numbers(factors: vec2<f32>, group: u32, low: u32, fifth: u32) -> vec4<f32> {
    var codes = weight_bytes(low >> ((group & 1u) * 4u)) & vec4<u32>(15u);
    if WEIGHT_FIFTH {
        codes |= (weight_bytes(fifth >> group) & vec4<u32>(1u)) << vec4<u32>(4u);
    }
    return factors.x * vec4<f32>(codes) - factors.y;
}

fn load_weight4(row: u32, k: u32) -> vec4<f32> {
    let at = row + k / 256u * WEIGHT_BLOCK;
    let group = (k & 255u) / 32u;
    let half = (k & 31u) / 16u;
    let word = (k & 15u) / 4u;
    let low = weight[at + WEIGHT_BLOCK - 8u + group / 2u * 2u + half][word];
    var fifth = 0u;
    if WEIGHT_FIFTH {
        fifth = weight[at + 1u + half][word];
    }
    return weight_numbers(weight_factors(weight[at], group), group, low, fifth);
}

const WEIGHT_RUN = 16u;

struct WeightRun {
    factors: vec2<f32>,
    group: u32,
    low: vec4<u32>,
    fifth: vec4<u32>,
}

fn weight_run(row: u32, k: u32) -> WeightRun {
    let at = row + k / 256u * WEIGHT_BLOCK;
    let group = (k & 255u) / 32u;
    let half = (k & 31u) / 16u;
    let low = weight[at + WEIGHT_BLOCK - 8u + group / 2u * 2u + half];
    var fifth = vec4<u32>();
    if WEIGHT_FIFTH {
        fifth = weight[at + 1u + half];
    }
    return WeightRun(weight_factors(weight[at], group), group, low, fifth);
}

fn run_weight4(run: WeightRun, i: u32) -> vec4<f32> {
    return weight_numbers(run.factors, run.group, run.low[i], run.fifth[i]);
}
