//! What runs graphs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kinora_quant::Weights;

use crate::{Graph, HostTensor, Result};

/// Arithmetic of matrix products, attention and convolutions. Everything else is f32, sums always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// Operands as they are (weights decoded to f32).
    #[default]
    F32,
    /// Both operands (x and weight; q, k and v, but for [`crate::Scores::Int8`]) are rounded to f16 before they are multiplied;
    /// sums, softmax and results stay f32. (See [`Executor::rounds_probabilities`].)
    F16,
}

/// A compiled graph, valid for the executor that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProgramId(pub u64);

/// What a program takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Requirements {
    /// Weights, parameters and constants, as stored on the device. Shared ones are counted in each program.
    pub weights: u64,
    /// Those of them that lie in the device's memory from the first run on and that no other program holds.
    pub resident: u64,
    /// Device memory through which the other weights pass.
    pub ring: u64,
    /// Bytes that pass through it in each run.
    pub streamed: u64,
    /// Intermediate values (the arena) and inputs.
    pub activations: u64,
    /// States read or written.
    pub states: u64,
    /// The host's own memory: staging, results, and all values where the processor computes.
    pub host: u64,
    /// Multiply-adds times two.
    pub flops: u64,
    /// Estimated seconds of a run: measured rates after [`Executor::measure`], else a guess.
    pub seconds: f64,
}

impl Requirements {
    /// Bytes of the device's memory that the program takes in all.
    pub fn device_bytes(&self) -> u64 {
        self.resident + self.ring + self.activations + self.states
    }
}

/// Time of one operation in a profiled run.
#[derive(Clone, Debug)]
pub struct OpTime {
    /// Operation, e.g. "linear".
    pub op: &'static str,
    /// Where in the model.
    pub label: String,
    /// Device time.
    pub time: Duration,
    /// Work, for the rate.
    pub cost: crate::Cost,
}

/// A kernel that was taken where several compute the same, to the bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelChoice {
    /// Operation, format, arithmetic and class of shapes, e.g. "linear.q4_k.f16 4096x2048x1024".
    pub work: String,
    /// The kernel's variant.
    pub kernel: &'static str,
    /// Whether it was the fastest on this device; else a rule chose it.
    pub measured: bool,
}

/// Lets a caller watch and stop a run.
pub trait Control {
    /// Called now and then with the share of the program's estimated work that is done (0 to 1).
    fn progress(&mut self, _fraction: f64) {}

    /// Called while weights are brought to the device: bytes copied of those that this run copies in all.
    fn loading(&mut self, _done: u64, _total: u64) {}

    /// Asked between submissions; `true` ends the run with [`crate::Error::Cancelled`].
    fn cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing and never stops.
pub struct NoControl;

impl Control for NoControl {}

/// Compiles and runs graphs, and keeps weights and states between runs.
///
/// States live in the executor under their names: one program may write what another reads. A
/// program's reads of a state see the value from before the run, its writes take effect at the end.
pub trait Executor: Send {
    /// The device in words, e.g. "llvmpipe (Vulkan), f32".
    fn describe(&self) -> String;

    /// Whether attention may round its probabilities to f16 as well: matrix units multiply nothing else.
    fn rounds_probabilities(&self) -> bool {
        false
    }

    /// Plans `graph` and uploads its weights. Weights already there (same `weights` object, same
    /// name) are shared.
    fn compile(&mut self, graph: Graph, weights: &Arc<dyn Weights>) -> Result<ProgramId>;

    /// Times a few operations, so that the seconds of forecasts are this machine's. Takes about a second at most.
    ///
    /// # Errors
    /// Where the device fails.
    fn measure(&mut self) -> Result<()>;

    /// Times kernels for what has been forecast or compiled so far and was never timed on this device, for some seconds at
    /// most; programs that are compiled later take the fastest. That is kept, and `control` hears of nothing where there
    /// is nothing to do. No result changes by it, but for attention in half precision, whose sums may run in another order.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`], or where the device fails.
    fn tune(&mut self, _control: &mut dyn Control) -> Result<()> {
        Ok(())
    }

    /// The kernels chosen for what has been forecast or compiled so far.
    fn kernel_choices(&self) -> Vec<KernelChoice> {
        Vec::new()
    }

    /// What `graph` would take as the only program: planned as [`Self::compile`] does, but nothing is allocated.
    ///
    /// # Errors
    /// Where it cannot run at all, or not within the executor's memory.
    fn forecast(&self, graph: &Graph) -> Result<Requirements>;

    /// The most bytes of device memory that were allocated at once since the device was opened; 0 where the processor
    /// computes.
    fn device_peak(&self) -> u64;

    /// What the program takes.
    fn requirements(&self, program: ProgramId) -> Requirements;

    /// Runs a program: every input of the graph is given, every output comes back.
    fn run(
        &mut self,
        program: ProgramId,
        inputs: &[(&str, &HostTensor)],
        control: &mut dyn Control,
    ) -> Result<BTreeMap<String, HostTensor>>;

    /// Frees a program, and the weights that no other program uses.
    fn release(&mut self, program: ProgramId);

    /// Forgets all states.
    fn clear_states(&mut self);

    /// Starts (`true`) or ends timing of each operation.
    fn set_profiling(&mut self, on: bool);

    /// The times gathered since the last call, one entry per operation and run.
    fn take_profile(&mut self) -> Vec<OpTime>;

    /// What the processor took to encode and submit runs' work since the last call; nothing where it computes itself.
    /// Profiled runs take more than others: each of their dispatches is timed.
    fn take_host_time(&mut self) -> Duration {
        Duration::ZERO
    }
}
