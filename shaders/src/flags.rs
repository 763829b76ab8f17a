//! Bits of the `flags` parameter: which optional operands are there. One meaning per bit for all kernels.

/// `bias` is added.
pub const BIAS: u32 = 1;
/// `table` holds a gate (linear) or a modulation (norm).
pub const TABLE: u32 = 2;
/// `rows` gives each row's row of `table`; row 0 serves all otherwise.
pub const ROWS: u32 = 4;
/// `residual` is added.
pub const RESIDUAL: u32 = 8;
/// The norm has a weight.
pub const WEIGHT: u32 = 16;
/// `mask` is added to the scores.
pub const MASK: u32 = 32;
/// `blocks` says which scores there are.
pub const BLOCKS: u32 = 64;

/// Every bit with its name in WGSL.
pub(crate) const ALL: [(&str, u32); 7] = [
    ("HAS_BIAS", BIAS),
    ("HAS_TABLE", TABLE),
    ("HAS_ROWS", ROWS),
    ("HAS_RESIDUAL", RESIDUAL),
    ("HAS_WEIGHT", WEIGHT),
    ("HAS_MASK", MASK),
    ("HAS_BLOCKS", BLOCKS),
];
