//! Runs any Kinora graph on the CPU: the oracle of whole models, and the fallback where there is no adapter.
//!
//! Matrix products, convolutions and attention are blocks of products by the `gemm` crate; everything else is a
//! loop over rows. All of it is spread over rayon's global thread pool.
//!
//! **Memory.** Weight matrices stay in the file: they are decoded to f32 in panels of a few megabytes while they
//! are multiplied with. Convolutions and attention work block by block too, so that a run takes little more than
//! the values that are alive at the same time.
//!
//! **Determinism.** Work is cut by shape alone, never by the number of threads, and every element is summed in an
//! order that follows from the shapes: the same graph with the same inputs gives the same bits in every run on a
//! machine, whatever the threads do meanwhile. Another kind of processor (other vector instructions) may give
//! other roundings.

mod executor;
mod frame;
mod math;
mod matmul;
mod ops;
mod program;
mod vector;
mod weights;

pub use executor::CpuExecutor;
