//! Which products are summed in parts of K.

use super::{FEW_ROWS, Tile};

/// Most rows of a product that is summed in parts.
const MOST_ROWS: u32 = 64;

/// Workgroups that are enough for any device: two for each multiprocessor of a large one.
const ENOUGH: u32 = 256;

/// Elements of K that parts are multiples of: whole blocks of every format.
const BLOCK: u32 = 256;

/// Blocks of a part at least: in less than 32 steps of 16 the beginning and the end of a tile weigh.
const LEAST: u32 = 2;

/// Elements of K that each part of a product of `m` x `n` has, sums of `k`; `None` where they are better taken whole.
///
/// A tile takes its steps along K one after another, each as long as its loads take, however idle the device is. So
/// where tiles are fewer than 256, K is cut into as many equal parts as make up for it; their sums, 4 MiB at most for a layer, are
/// added in order by [`crate::add_parts`]. This follows from the shape alone, and so do the bits. Up to [`FEW_ROWS`] rows
/// have 64 invocations along K anyway, and a workgroup for each four columns.
pub fn part_of_k(m: u32, n: u32, k: u32) -> Option<u32> {
    if m <= FEW_ROWS || m > MOST_ROWS || !k.is_multiple_of(BLOCK) {
        return None;
    }
    let layout = Tile::choose_many(m, n, u64::MAX).layout();
    let tiles = m.div_ceil(layout.rows()) * n.div_ceil(layout.columns());
    let blocks = k / BLOCK;
    let most = (ENOUGH / tiles.max(1)).min(blocks / LEAST);
    let parts = (2..=most).rev().find(|parts| blocks.is_multiple_of(*parts))?;
    Some(k / parts)
}

#[cfg(test)]
mod tests {
    use super::part_of_k;

    #[test]
    fn few_rows_and_columns_with_a_long_sum_are_cut() {
        let parts = |m, n, k| part_of_k(m, n, k).map_or(1, |part| k / part);
        // umT5-XXL and a short prompt: layers of attention, output and input of the feed-forward; a longer prompt.
        assert_eq!(parts(20, 4096, 4096), 8);
        assert_eq!(parts(20, 4096, 10_240), 8);
        assert_eq!(parts(20, 10_240, 4096), 2);
        assert_eq!(parts(64, 4096, 10_240), 4);
        assert_eq!(parts(64, 10_240, 4096), 1);
        // Whatever divides the blocks of 13,824 = 54 x 256.
        assert_eq!(parts(32, 5120, 13_824), 6);
        // One row, 512 rows of text, a demo's model, and what no format's blocks divide.
        assert_eq!(parts(1, 5120, 5120), 1);
        assert_eq!(parts(512, 5120, 4096), 1);
        assert_eq!(parts(40, 96, 384), 1);
        assert_eq!(parts(40, 96, 5000), 1);
    }
}
