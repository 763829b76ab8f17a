//#include common
//#include activation
//#include numbers
//#include operands
//#include first_weight
//#include held_a
//#include held_b
//#include load_x

struct Params {
    m: u32,
    n: u32,
    k: u32,
    first_row: u32,
    first_weight_row: u32,
    first_column: u32,
    out_stride: u32,
    flags: u32,
    gate_column: u32,
    table_stride: u32,
    part_stride: u32,
    bias_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> x: array<XElement>;
@group(0) @binding(3) var<storage, read_write> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> table: array<f32>;
@group(0) @binding(6) var<storage, read_write> rows: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

// Epilogue and store of up to four elements of a row.
fn store(local_row: u32, local_column: u32, sum: vec4<Sum>) {
    let row = params.first_row + local_row;
    let column = params.first_column + local_column;
    let count = min(4u, params.n - local_column);
    var place = row * params.out_stride + column;
    var bias_place = column;
    if APART {
        let part = column / params.out_stride;
        place += part * (params.part_stride - params.out_stride);
        bias_place += part * (params.bias_stride - params.out_stride);
    }
    var y = scaled(row, local_column, sum);
    if (params.flags & HAS_BIAS) != 0u {
        for (var i = 0u; i < count; i++) {
            y[i] += bias[bias_place + i];
        }
    }
    y = activate(y);
    if RESIDUAL && (params.flags & HAS_TABLE) != 0u {
        var table_row = 0u;
        if (params.flags & HAS_ROWS) != 0u {
            table_row = rows[row];
        }
        let gate = table_row * params.table_stride + params.gate_column + column;
        for (var i = 0u; i < count; i++) {
            y[i] *= table[gate + i];
        }
    }
    for (var i = 0u; i < count; i++) {
        var value = y[i];
        if RESIDUAL {
            value += residual[place + i];
        }
        if TIMES {
            value *= residual[place + i];
        }
        out[place + i] = value;
    }
}

//#include body
