//! AV1 in MP4 (ISO/IEC 14496-12, AV1 Codec ISO Media File Format Binding 1.3).
//!
//! Written here because the muxer at hand (muxide 0.5) keeps all samples in memory, has no
//! `colr` box and knows three fixed metadata keys.

mod boxes;
mod read;
mod write;

pub(crate) use read::read_metadata;
pub(crate) use write::Mp4Muxer;
