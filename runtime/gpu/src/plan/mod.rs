//! A graph at given shapes becomes a plan, once: kernels, places, weights, work.
//!
//! [`Plan::new`] is a pure function of graph, capabilities, measured tiles and options; nothing here touches a device.

mod arena;
mod chunk;
mod emit;
mod lower;
mod residency;
mod show;
mod view;

pub use residency::{Place, Residency, Upload};

use kinora_graph::{Cost, ElementType, Graph, MatrixLayout, Precision, Requirements, Result};
use kinora_quant::DType;
use kinora_shaders::Features;
use kinora_shaders::kernel::Shader;
use std::ops::Range;

use crate::tune::{Choice, Table};

/// Estimated throughput of a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Operations per second.
    pub flops: f64,
    /// Bytes moved per second.
    pub bytes: f64,
}

impl Speed {
    /// Estimated seconds that work takes.
    pub fn seconds(self, cost: Cost) -> f64 {
        (cost.flops as f64 / self.flops).max(cost.bytes as f64 / self.bytes)
    }
}

/// What a plan must respect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capabilities {
    /// Largest part of a buffer that a kernel can see, in bytes.
    pub max_binding: u64,
    /// Largest buffer in bytes.
    pub max_buffer: u64,
    /// Alignment of that part's first byte (256 at most).
    pub storage_alignment: u64,
    /// Alignment of the parameters of a dispatch in bytes.
    pub uniform_alignment: u64,
    /// Decides where long dispatches are split.
    pub speed: Speed,
    /// Whether its kernels run on the processor, where registers are plenty and loads dear.
    pub software: bool,
    /// Elements of an output from which on products take large tiles; `u64::MAX` where invocations lack the registers.
    pub large_from: u64,
    /// Most invocations of a subgroup; 0 where the device has none.
    pub subgroup: u32,
    /// What kernels may use beyond core WebGPU.
    pub features: Features,
}

/// What a caller may choose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Arithmetic of products.
    pub precision: Precision,
    /// Estimated seconds that a dispatch, and a submission, may take.
    pub slice: f64,
    /// Bytes of the device's memory that may be taken in all (`None`: all there are).
    pub memory: Option<u64>,
    /// Bytes of scores that attention with wide heads may keep.
    pub scratch: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            precision: Precision::F32,
            slice: 0.1,
            memory: None,
            scratch: 32 << 20,
        }
    }
}

/// Which buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Buffer {
    /// One of [`Plan::arenas`].
    Arena(usize),
    /// Parameters and constants.
    Fixed,
    /// One of [`Plan::states`].
    State(usize),
    /// One of [`Plan::weights`].
    Weight(usize),
}

/// A part of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// Buffer.
    pub buffer: Buffer,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// One run of a kernel.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Index into [`Plan::ops`].
    pub op: usize,
    /// Index into [`Plan::shaders`].
    pub shader: usize,
    /// Its parameters in [`Plan::uniforms`].
    pub params: Range<usize>,
    /// Workgroups.
    pub workgroups: [u32; 3],
    /// What is bound after the parameters, in the order of the shader's bindings.
    pub bindings: Vec<Region>,
    /// Estimated seconds.
    pub seconds: f64,
}

/// An operation of the graph that computes something.
#[derive(Clone, Debug)]
pub struct PlannedOp {
    /// Index of the value in the graph.
    pub value: usize,
    /// Kind of operation.
    pub op: &'static str,
    /// Where in the model.
    pub label: String,
    /// Work.
    pub cost: Cost,
}

/// Rows of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorRows {
    /// Name in the model's naming.
    pub name: String,
    /// Rows (of the first dimension).
    pub rows: Range<usize>,
}

/// A weight matrix, rows of one, or several one below the other, in a buffer of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Weight {
    /// Its tensors. Where there are several, each has whole words of four bytes.
    pub parts: Vec<TensorRows>,
    /// Elements of a row.
    pub k: usize,
    /// Order of the elements.
    pub layout: MatrixLayout,
    /// Type on the device.
    pub dtype: DType,
}

impl Weight {
    /// Rows of all parts.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows.len()).sum()
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        (self.rows() as u64 * self.row_bytes() as u64).next_multiple_of(4)
    }

    /// The names of its tensors, for messages.
    pub fn name(&self) -> String {
        let names: Vec<_> = self.parts.iter().map(|part| part.name.as_str()).collect();
        names.join(" + ")
    }

    /// Bytes of a row on the device.
    pub fn row_bytes(&self) -> usize {
        self.dtype.row_bytes(self.k).unwrap_or(0)
    }
}

/// Where a pooled constant comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A tensor of the file, decoded to f32.
    Parameter(String),
    /// The data of the graph's node of this index.
    Constant(usize),
    /// One number (its bits) everywhere.
    Fill(u32),
}

/// Elements in the buffer of parameters and constants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fixed {
    /// Where they come from.
    pub source: Source,
    /// Which elements.
    pub elements: Range<usize>,
    /// First byte in the buffer.
    pub offset: u64,
}

/// A state that is read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateUse {
    /// Name.
    pub name: String,
    /// Shape that is read, if it is.
    pub read: Option<Vec<usize>>,
    /// Shape that is written, if it is.
    pub written: Option<Vec<usize>>,
    /// Bytes of the larger of the two.
    pub bytes: u64,
}

/// An input, an output or an update of a state.
#[derive(Clone, Debug)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Element type.
    pub element_type: ElementType,
    /// For row indices and ids: all elements must be below this.
    pub limit: Option<u32>,
    /// Where it lies.
    pub region: Region,
}

/// All that a run needs.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Kernels, each once.
    pub shaders: Vec<Shader>,
    /// Parameters of all dispatches.
    pub uniforms: Vec<u8>,
    /// In order.
    pub dispatches: Vec<Dispatch>,
    /// Operations that dispatches belong to.
    pub ops: Vec<PlannedOp>,
    /// Bytes of each arena.
    pub arenas: Vec<u64>,
    /// Parameters and constants.
    pub fixed: Vec<Fixed>,
    /// Bytes of the buffer of parameters and constants.
    pub fixed_bytes: u64,
    /// Weight matrices.
    pub weights: Vec<Weight>,
    /// States.
    pub states: Vec<StateUse>,
    /// Inputs.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
    /// What states become when the run ends, in the order of [`Plan::states`] that are written.
    pub updates: Vec<Port>,
    /// Tiles of products and of attention, one entry for each class of them.
    pub choices: Vec<Choice>,
}

impl Plan {
    /// Plans `graph`; `table` says which tiles were the fastest on the device, and changes no bit of what is computed but
    /// by attention in half precision.
    ///
    /// # Errors
    /// [`kinora_graph::Error::OutOfMemory`] where an operation needs more than the device can bind at once.
    pub fn new(graph: &Graph, capabilities: &Capabilities, table: &Table, options: &Options) -> Result<Self> {
        lower::lower(graph, capabilities, table, options)
    }

    /// What the plan takes when its weights lie as `residency` says.
    pub fn requirements(&self, residency: &Residency) -> Requirements {
        Requirements {
            weights: self.weights.iter().map(Weight::bytes).sum::<u64>() + self.fixed_bytes,
            resident: residency.resident + self.constant_bytes(),
            ring: residency.ring_bytes(),
            streamed: residency.streamed,
            activations: self.arenas.iter().sum(),
            states: self.states.iter().map(|s| s.bytes).sum(),
            // Results are mapped, then copied.
            host: 2 * self.outputs.iter().map(|port| port.region.size).sum::<u64>(),
            flops: self.ops.iter().map(|op| op.cost.flops).sum(),
            seconds: self.seconds(),
        }
    }

    /// Bytes of parameters and constants of the graph and of its kernels.
    pub fn constant_bytes(&self) -> u64 {
        self.fixed_bytes + self.uniforms.len() as u64
    }

    /// The dispatches from the first that uses a weight to the last, for each of [`Self::weights`].
    pub fn weight_uses(&self) -> Vec<Range<usize>> {
        let mut uses = vec![0..0; self.weights.len()];
        for (index, dispatch) in self.dispatches.iter().enumerate() {
            for region in &dispatch.bindings {
                if let Buffer::Weight(weight) = region.buffer {
                    let used = &mut uses[weight];
                    let start = if used.end == 0 { index } else { used.start };
                    *used = start..index + 1;
                }
            }
        }
        uses
    }

    /// Estimated seconds of a run.
    pub fn seconds(&self) -> f64 {
        self.dispatches.iter().map(|d| d.seconds).sum()
    }
}
