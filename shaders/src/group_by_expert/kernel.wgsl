//#include common

struct Params {
    slots: u32,
    experts: u32,
    first_expert: u32,
    last_expert: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

// Slots of an invocation's share that belong to experts before this one, and to it.
var<workgroup> counts: array<vec2<u32>, 256>;

// A workgroup for each expert, which looks through all slots: no order depends on who comes first.
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let expert = params.first_expert + flat(group);
    let length = (params.slots + 255u) / 256u;
    let start = min(thread * length, params.slots);
    let end = min(start + length, params.slots);
    var count = vec2<u32>();
    for (var slot = start; slot < end; slot++) {
        count += vec2<u32>(u32(ids[slot] < expert), u32(ids[slot] == expert));
    }
    counts[thread] = count;
    workgroupBarrier();
    if expert >= params.last_expert {
        return;
    }
    var place = 0u;
    for (var i = 0u; i < 256u; i++) {
        place += counts[i].x + select(0u, counts[i].y, i < thread);
    }
    if thread == 0u {
        out[2u * params.slots + expert] = place;
        if expert + 1u == params.experts {
            out[2u * params.slots + params.experts] = params.slots;
        }
    }
    for (var slot = start; slot < end; slot++) {
        if ids[slot] == expert {
            out[place] = slot;
            out[params.slots + slot] = place;
            place += 1u;
        }
    }
}
