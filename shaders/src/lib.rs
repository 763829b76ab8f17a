//! Kinora's kernels in WGSL. No wgpu: a kernel here is text, a signature and a meaning.
//!
//! One folder per kernel: `kernel.wgsl`, its variants, parameters, bindings and grid (`mod.rs`), its
//! plain CPU version (`reference.rs`) and its test cases (`cases.rs`). `shared/` holds the snippets that
//! kernels include; [`text`] says how. [`table`] lists every variant and every test call.
//!
//! # Rules for whoever dispatches
//! - Binding 0 is the parameters; weights, where there are any, are binding 1; all else is arena.
//! - An operand that the flags leave out still needs a binding: any arena range of 16 bytes or more serves.
//! - Kernels stay within their operands' ranges by themselves, so that bounds checks may be turned off.
//!   Ids and row indices are taken on trust, except in [`gather`].
//! - Indices are `u32`: no operand may have 2³² elements or more.
//! - Weights are read as whole `u32`, by fours of elements: let 16 bytes follow the last row in its buffer.
//! - Grids of flat kernels are two-dimensional, [`kernel::GRID_WIDTH`] workgroups wide.

pub mod activation;
pub mod add_parts;
pub mod call;
pub mod factors;
pub mod features;
pub mod flags;
pub mod kernel;
mod module;
pub mod table;
pub mod text;
pub mod weight;

pub mod attention;
pub mod binary;
pub mod combine;
pub mod conv3d;
pub mod copy;
pub mod expert_weights;
pub mod fill;
pub mod gather;
pub mod group_by_expert;
pub mod grouped_linear;
pub mod linear;
pub mod matmul;
pub mod norm;
pub mod peak;
pub mod qk_norm_rope;
pub mod quantize_heads;
pub mod quantize_rows;
pub mod rearrange;
pub mod scatter_experts;
pub mod softmax;
pub mod sum_rows;
pub mod top_k;
pub mod unary;

pub use activation::Activation;
pub use call::Call;
pub use factors::Factors;
pub use features::Features;
pub use kernel::{Binding, BindingKind, Kernel, Shader};
pub use weight::WeightType;
