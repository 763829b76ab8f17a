//! AV1 in Matroska and WebM (RFC 8794, RFC 9559, "AV1 in Matroska").

mod ebml;
mod read;
mod write;

pub(crate) use read::read_metadata;
pub(crate) use write::MatroskaMuxer;
