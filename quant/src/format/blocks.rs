//! Blocks of GGUF files, in ggml's layouts.

use super::Format;
use crate::DType;

/// The format of a block type.
pub(super) fn format(dtype: DType) -> Option<Format> {
    // Name, elements, bytes.
    let (name, block, block_bytes) = match dtype {
        DType::Q4_0 => ("Q4_0", 32, 18),
        DType::Q4_1 => ("Q4_1", 32, 20),
        DType::Q5_0 => ("Q5_0", 32, 22),
        DType::Q5_1 => ("Q5_1", 32, 24),
        DType::Q8_0 => ("Q8_0", 32, 34),
        DType::Q2K => ("Q2_K", 256, 84),
        DType::Q3K => ("Q3_K", 256, 110),
        DType::Q4K => ("Q4_K", 256, 144),
        DType::Q5K => ("Q5_K", 256, 176),
        DType::Q6K => ("Q6_K", 256, 210),
        DType::Iq4Nl => ("IQ4_NL", 32, 18),
        DType::Iq4Xs => ("IQ4_XS", 256, 136),
        _ => return None,
    };
    Some(Format {
        name,
        block,
        block_bytes,
        tail: None,
        decode: |_, _| todo!(),
        encode: None,
        wgsl: None,
    })
}
