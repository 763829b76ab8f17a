//! Records: rows whose scales lie behind their elements. Files keep the scales in tensors of their own.

use super::Format;
use crate::{DType, Rotation};

/// The format of a record type (and of the 8-bit floats that records are made of).
pub(super) fn format(dtype: DType) -> Option<Format> {
    // Name, elements and bytes of a block, bytes behind the blocks.
    let (name, block, block_bytes, tail) = match dtype {
        DType::F8E4M3 => ("F8_E4M3", 1, 1, None),
        DType::F8E5M2 => ("F8_E5M2", 1, 1, None),
        DType::F8E8M0 => ("F8_E8M0", 1, 1, None),
        // Elements, then the scale.
        DType::F8E4M3Scaled => ("F8_E4M3 scaled", 1, 1, Some(4)),
        DType::F8E5M2Scaled => ("F8_E5M2 scaled", 1, 1, Some(4)),
        // Elements, then one scale for each block.
        DType::Mxfp8 => ("MXFP8", 32, 33, Some(0)),
        // Two elements a byte, the first in the high half; block scales; the tensor's scale.
        DType::Nvfp4 => ("NVFP4", 16, 9, Some(4)),
        DType::Int8 => ("INT8", 1, 1, Some(4)),
        DType::Int8ConvRot(Rotation::G16) => ("INT8 convrot 16", 16, 16, Some(4)),
        DType::Int8ConvRot(Rotation::G64) => ("INT8 convrot 64", 64, 64, Some(4)),
        DType::Int8ConvRot(Rotation::G256) => ("INT8 convrot 256", 256, 256, Some(4)),
        DType::Int8ConvRot(Rotation::G1024) => ("INT8 convrot 1024", 1024, 1024, Some(4)),
        // Two elements a byte, the first in the low half; then scale and offset of each group.
        DType::Int4F16 => ("INT4 f16", 64, 36, Some(0)),
        DType::Int4BF16 => ("INT4 bf16", 64, 36, Some(0)),
        _ => return None,
    };
    Some(Format {
        name,
        block,
        block_bytes,
        tail,
        decode: |_, _| todo!(),
        encode: None,
        wgsl: None,
    })
}
