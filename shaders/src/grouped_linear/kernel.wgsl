//#include common
//#include activation
//#include numbers
//#include all_k
//#include held_a
//#include held_b
//#include load_x
//#include weight_columns

struct Params {
    n: u32,
    k: u32,
    first_tile: u32,
    tiles: u32,
    slots: u32,
    experts: u32,
    // Those whose weights are bound.
    first_expert: u32,
    last_expert: u32,
    expert_rows: u32,
    first_row: u32,
    per_row: u32,
    flags: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> x: array<XElement>;
@group(0) @binding(3) var<storage, read_write> groups: array<u32>;
@group(0) @binding(4) var<storage, read_write> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

var<private> expert: u32;
var<private> last_place: u32;
// First place, place behind the last, expert. Of four, so that the tiles behind it begin at a multiple of 16 bytes.
var<workgroup> found: vec4<u32>;

fn start_of(expert: u32) -> u32 {
    return min(groups[2u * params.slots + expert], params.slots);
}

// The places of a tile. Those of an expert begin at number start / height + expert: there is room for all of them
// before the next expert's begin.
fn find(number: u32, height: u32) -> vec4<u32> {
    var low = 0u;
    var high = params.experts;
    while high - low > 1u {
        let middle = (low + high) / 2u;
        if start_of(middle) / height + middle <= number {
            low = middle;
        } else {
            high = middle;
        }
    }
    let start = start_of(low);
    let first = start + (number - start / height - low) * height;
    let bound = low >= params.first_expert && low < params.last_expert;
    return vec4<u32>(first, select(0u, min(start_of(low + 1u), first + height), bound), low, 0u);
}

fn tile_rows(tile: u32, height: u32, thread: u32) -> vec2<u32> {
    if thread == 0u {
        found = find(params.first_tile + tile, height);
    }
    let tile_found = workgroupUniformLoad(&found);
    last_place = max(tile_found.y, 1u) - 1u;
    expert = tile_found.z;
    return tile_found.xy;
}

fn first_weight() -> u32 {
    return (expert - params.first_expert) * params.expert_rows + params.first_row;
}

alias RowState = u32;

fn x_row(place: u32) -> u32 {
    if FROM_TOKENS {
        return min(groups[place], params.slots - 1u) / params.per_row;
    }
    return place;
}

fn row_state(place: u32) -> u32 {
    return x_row(min(place, last_place)) * params.k;
}

fn load_a(row: u32, k: u32) -> vec4<f32> {
    return load_x(row, k);
}

fn store(place: u32, column: u32, sum: vec4<f32>) {
    var y = sum;
    let count = min(4u, params.n - column);
    if (params.flags & HAS_BIAS) != 0u {
        for (var i = 0u; i < count; i++) {
            y[i] += bias[expert * params.expert_rows + params.first_row + column + i];
        }
    }
    y = activate(y);
    for (var i = 0u; i < count; i++) {
        out[place * params.n + column + i] = y[i];
    }
}

//#include gemm
