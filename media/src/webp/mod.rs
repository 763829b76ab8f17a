//! Animated WebP: frames by libwebp, the container by us (RFC 9649).
//!
//! libwebp's own animation encoder holds the whole file in memory, and the crate that wraps it
//! all frames as well; here each frame is compressed alone and written at once.

mod read;
mod write;

pub(crate) use read::read_metadata;
pub(crate) use write::WebpSink;
