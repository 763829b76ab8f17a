//! Numbers that ggml gives to types of tensors.

use crate::DType;

/// A type as a file names it.
pub(super) struct Type {
    /// ggml's name.
    pub(super) name: &'static str,
    /// Elements of a block, and its bytes.
    pub(super) block: (usize, usize),
    /// The type, where this crate reads it.
    pub(super) dtype: Option<DType>,
}

/// Types that are read, by number.
const READ: [(u32, DType); 19] = [
    (0, DType::F32),
    (1, DType::F16),
    (2, DType::Q4_0),
    (3, DType::Q4_1),
    (6, DType::Q5_0),
    (7, DType::Q5_1),
    (8, DType::Q8_0),
    (10, DType::Q2K),
    (11, DType::Q3K),
    (12, DType::Q4K),
    (13, DType::Q5K),
    (14, DType::Q6K),
    (20, DType::Iq4Nl),
    (23, DType::Iq4Xs),
    (24, DType::I8),
    (26, DType::I32),
    (27, DType::I64),
    (28, DType::F64),
    (30, DType::BF16),
];

/// Types that are only listed: number, name, elements and bytes of a block.
const LISTED: [(u32, &str, usize, usize); 15] = [
    (9, "Q8_1", 32, 40),
    (15, "Q8_K", 256, 292),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (25, "I16", 1, 2),
    (29, "IQ1_M", 256, 56),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (39, "MXFP4", 32, 17),
    (40, "NVFP4", 64, 36),
    (41, "Q1_0", 128, 18),
];

/// The type of a number, or `None` where it is none that was known when this was written.
pub(super) fn of_number(number: u32) -> Option<Type> {
    let read = READ.iter().find(|(n, _)| *n == number).map(|(_, dtype)| {
        let format = dtype.format();
        Type {
            name: format.name,
            block: (format.block, format.block_bytes),
            dtype: Some(*dtype),
        }
    });
    read.or_else(|| {
        let (_, name, elements, bytes) = LISTED.iter().find(|(n, ..)| *n == number)?;
        Some(Type {
            name,
            block: (*elements, *bytes),
            dtype: None,
        })
    })
}

/// The number of a type that GGUF files can hold.
pub(super) fn number_of(dtype: DType) -> Option<u32> {
    READ.iter().find(|(_, t)| *t == dtype).map(|(number, _)| *number)
}
