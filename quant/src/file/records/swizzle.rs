//! The order in which matrix units of recent NVIDIA GPUs want block scales: tiles of 128 rows by 4 columns.
//!
//! Layout: <https://docs.nvidia.com/cuda/cublas/index.html#d-block-scaling-factors-layout>.

/// Rows and columns of a tile, and its bytes.
const TILE_ROWS: usize = 128;
pub(super) const TILE_COLUMNS: usize = 4;
const TILE: usize = TILE_ROWS * TILE_COLUMNS;

/// Shape of the scales of `rows` by `columns` blocks, with the padding to whole tiles.
pub(super) fn padded(rows: usize, columns: usize) -> Option<[usize; 2]> {
    Some([
        rows.checked_next_multiple_of(TILE_ROWS)?,
        columns.checked_next_multiple_of(TILE_COLUMNS)?,
    ])
}

/// Where the scales of columns `column` to `column + 3` of a row lie; `column` is a multiple of four.
pub(super) fn offset(row: usize, column: usize, columns: usize) -> usize {
    let tile = row / TILE_ROWS * columns.div_ceil(TILE_COLUMNS) + column / TILE_COLUMNS;
    let row = row % TILE_ROWS;
    // Within a tile, 32 lines of four rows that lie 32 apart.
    tile * TILE + row % 32 * 16 + row / 32 * TILE_COLUMNS
}
