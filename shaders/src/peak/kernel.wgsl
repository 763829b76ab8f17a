//#include common

struct Params {
    rounds: u32,
    groups: u32,
    factor: f32,
    term: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

// `main`: INVOCATIONS of each of the groups write a number.
//#include body
