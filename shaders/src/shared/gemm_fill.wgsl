// Fills the tiles from k0 on; the elements of the next are on their way when they are multiplied.
//#repeat $i LOADS_A
tile_a[a_row$i * STRIDE + a_k / 4u] = hold_a(a$i);
//#end
//#repeat $i LOADS_B
tile_b[b_slot(b_place$i)] = hold_b(b$i);
//#end
workgroupBarrier();
//#repeat $i LOADS_A
a$i = next_a(a_state$i, k0 + STEP + a_k);
//#end
//#repeat $i LOADS_B
b$i = next_b(b_state$i, k0 + STEP + b_place$i.y);
//#end
