//! The model files on this machine: where they may lie, which they are, which of them make up a model.

mod resolve;
mod roots;
mod scan;
#[cfg(test)]
mod tests;

pub use resolve::{Request, Resolved, Unresolved, resolve};
pub use roots::{Kind, Root, download_folder, roots};
pub use scan::{Content, Found, scan};
