//! What can be wrong with a graph or with running it.

use kinora_quant::DType;

use crate::ElementType;

/// An error of a graph or of an executor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The shapes of an operation's operands do not fit together.
    #[error("{op} at `{label}`: {why}")]
    Shape {
        /// Operation.
        op: &'static str,
        /// Where in the model (scope path).
        label: String,
        /// What does not fit.
        why: String,
    },
    /// A tensor in the file has another shape than the model needs.
    #[error(
        "{origin}: tensor `{name}` has shape {found:?}, the model needs {expected:?}; the file belongs to another model or variant (`kinora inspect` shows what it is)"
    )]
    WeightShape {
        /// File or folder.
        origin: String,
        /// Tensor.
        name: String,
        /// Shape that the model needs.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor in the file is of a type that the operation cannot use for it.
    #[error("{origin}: tensor `{name}` is of type {dtype}: {why}; use a file that stores this tensor in another type")]
    WeightType {
        /// File or folder.
        origin: String,
        /// Tensor.
        name: String,
        /// Its type.
        dtype: DType,
        /// What stands against it.
        why: String,
    },
    /// A file cannot be read or lacks a tensor.
    #[error(transparent)]
    Weights(#[from] kinora_quant::Error),
    /// An input of a program is missing, unknown or of the wrong shape.
    #[error("input `{name}`: {why}")]
    Input {
        /// Name of the input.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A state is read before any program has set it, or has another shape.
    #[error("state `{name}`: {why}")]
    State {
        /// Name of the state.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Activations were expected and ids found, or the other way round.
    #[error("expected elements of type {expected:?}, found {found:?}")]
    ElementType {
        /// What was expected.
        expected: ElementType,
        /// What was found.
        found: ElementType,
    },
    /// The run was stopped by [`crate::Control::cancelled`].
    #[error("stopped on request")]
    Cancelled,
    /// The device has too little memory.
    #[error("{what} needs {needed} bytes of device memory, {available} are available; {remedy}")]
    OutOfMemory {
        /// What was to be allocated.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes available.
        available: u64,
        /// What to do.
        remedy: String,
    },
    /// The device failed or was lost.
    #[error("{device}: {why}; {remedy}")]
    Device {
        /// Name of the device.
        device: String,
        /// What happened.
        why: String,
        /// What to do.
        remedy: String,
    },
}
