//! Kinora's operations, shapes, graph builder and the executor trait: all that models see.
//!
//! A model's forward pass is written once against [`Builder`]. An [`Executor`] turns the finished
//! [`Graph`] into a program and runs it. This crate knows neither GPUs nor models.
//!
//! Conventions, valid everywhere:
//! - tensors are row-major; the last dimension is the channel (feature) dimension, so that a
//!   "row" is one token or one voxel: text and video tokens are `[L, C]`, feature maps of the
//!   autoencoders `[T, H, W, C]`;
//! - activations are `f32`, ids and row indices `u32`;
//! - batches of conditional and unconditional passes are separate values of one graph.

mod builder;
mod cost;
mod error;
mod executor;
pub mod experts;
mod graph;
mod isolate;
mod op;
mod rearrange;
mod scores;
mod tensor;

pub use builder::{Builder, LORA_DOWN, LORA_UP, Scope};
pub use cost::Cost;
pub use error::Error;
pub use executor::{Control, Executor, KernelChoice, NoControl, OpTime, Precision, ProgramId, Requirements};
pub use graph::{Graph, Node, Value};
pub use op::{
    Activation, Attention, BinaryOp, Conv3d, Epilogue, Gate, Linear, Matrix, MatrixLayout, Modulation, Norm, NormKind,
    Op, Padding, QkNormRope, Rows, UnaryOp,
};
pub use rearrange::{MAX_AXES, Rearrange};
pub use scores::Scores;
pub use tensor::{ElementType, HostData, HostTensor};

/// Result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
