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
