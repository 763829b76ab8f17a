// The first tile's elements, on their way into workgroup memory.
let a_k = thread % (STEP / 4u) * 4u;
//#repeat $i LOADS_A
let a_row$i = (thread + $iu * INVOCATIONS) / (STEP / 4u);
let a_state$i = row_state(rows.x + a_row$i);
var a$i = next_a(a_state$i, a_k);
//#end
//#repeat $i LOADS_B
let b_place$i = b_place(thread + $iu * INVOCATIONS);
let b_state$i = column_state(first_column + b_place$i.x);
var b$i = next_b(b_state$i, b_place$i.y);
//#end
