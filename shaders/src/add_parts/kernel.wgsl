//#include common
//#include activation
//#include params

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> residual: array<f32>;
@group(0) @binding(4) var<storage, read_write> table: array<f32>;
@group(0) @binding(5) var<storage, read_write> rows: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

alias Sum = f32;

fn scaled(row: u32, local_column: u32, sum: vec4<Sum>) -> vec4<f32> {
    return sum;
}

//#include epilogue

// Four columns of a row an invocation.
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let quads = (params.n + 3u) / 4u;
    let quad = flat(group) * 64u + thread;
    let row = quad / quads;
    let column = quad % quads * 4u;
    if row >= params.m {
        return;
    }
    var sum = vec4<f32>();
    for (var part = 0u; part < params.k / params.part_k; part++) {
        let place = (part * params.m + row) * params.n + column;
        for (var i = 0u; i < min(4u, params.n - column); i++) {
            sum[i] += parts[place + i];
        }
    }
    store(row, column, sum);
}
