//! The crate from outside: files written and looked at by other programs and crates.

mod common;
mod files;
mod images;
mod stills;
mod video;
