//! The executor: programs, states, runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use kinora_graph::{
    Control, Cost, Error, Executor, Graph, HostTensor, Node, Op, OpTime, Precision, ProgramId, Requirements, Result,
    Value,
};
use kinora_quant::Weights;

use crate::frame::{Data, Frame, Slab};
use crate::matmul::{Mat, Old, Target, Threads, multiply};
use crate::ops::{self, Machine};
use crate::program::Program;

/// Runs graphs on the CPU, with all threads of rayon's global pool.
///
/// ```
/// use std::{collections::BTreeMap, sync::Arc};
/// use kinora_cpu::CpuExecutor;
/// use kinora_graph::{Builder, Executor, HostTensor, NoControl, Precision};
/// use kinora_quant::{Tensor, Weights};
///
/// let weights: Arc<dyn Weights> = Arc::new(BTreeMap::<String, Tensor>::new());
/// let mut builder = Builder::new(&*weights);
/// let x = builder.input("x", &[2]);
/// let y = builder.add(x, x)?;
/// builder.output("y", y);
///
/// let mut cpu = CpuExecutor::new(Precision::F32);
/// let program = cpu.compile(builder.finish(), &weights)?;
/// let x = HostTensor::f32(&[2], vec![1.0, 2.0]);
/// let outputs = cpu.run(program, &[("x", &x)], &mut NoControl)?;
/// assert_eq!(outputs["y"].as_f32()?, [2.0, 4.0]);
/// # Ok::<(), kinora_graph::Error>(())
/// ```
pub struct CpuExecutor {
    precision: Precision,
    programs: BTreeMap<ProgramId, Program>,
    next: u64,
    states: BTreeMap<String, State>,
    profiling: bool,
    profile: Vec<OpTime>,
    /// Operations per second.
    rate: Option<f64>,
    /// Bytes that a program's values may take.
    memory: Option<u64>,
}

/// What a program left for the next.
struct State {
    shape: Vec<usize>,
    values: Arc<Vec<f32>>,
}

impl CpuExecutor {
    /// An executor without programs. [`Precision::F16`] rounds operands where a device with f16 arithmetic does,
    /// so that its results can be held against a narrow tolerance; it is not faster.
    pub fn new(precision: Precision) -> Self {
        Self {
            precision,
            programs: BTreeMap::new(),
            next: 0,
            states: BTreeMap::new(),
            profiling: false,
            profile: Vec::new(),
            rate: None,
            memory: None,
        }
    }

    /// An executor that refuses programs whose values take more than `memory` bytes. Weights are not counted: they are
    /// read from the file piece by piece.
    pub fn within(precision: Precision, memory: u64) -> Self {
        Self {
            memory: Some(memory),
            ..Self::new(precision)
        }
    }

    fn check_memory(&self, needs: &Requirements) -> Result<()> {
        let needed = needs.activations + needs.states;
        match self.memory {
            Some(memory) if needed > memory => Err(Error::OutOfMemory {
                what: "what is computed between the layers of the model".into(),
                needed,
                available: memory,
                remedy: "raise `--ram`, close other programs, or render a smaller picture or fewer frames".into(),
            }),
            _ => Ok(()),
        }
    }
}

impl Executor for CpuExecutor {
    fn describe(&self) -> String {
        let precision = match self.precision {
            Precision::F32 => "f32",
            Precision::F16 => "f32 with operands rounded to f16",
        };
        match rayon::current_num_threads() {
            1 => format!("CPU (1 thread), {precision}"),
            n => format!("CPU ({n} threads), {precision}"),
        }
    }

    fn compile(&mut self, graph: Graph, weights: &Arc<dyn Weights>) -> Result<ProgramId> {
        let known = |name: &str| {
            let sharing = self.programs.values().filter(|p| Arc::ptr_eq(&p.weights, weights));
            sharing.filter_map(|p| p.parameters.get(name)).next().cloned()
        };
        let program = Program::new(graph, weights, known)?;
        self.check_memory(&program.requirements)?;
        tracing::debug!(nodes = program.graph.nodes().len(), requirements = ?program.requirements, "compiled");
        let id = ProgramId(self.next);
        self.next += 1;
        self.programs.insert(id, program);
        Ok(id)
    }

    fn measure(&mut self) -> Result<()> {
        self.rate = Some(measured_rate());
        Ok(())
    }

    fn forecast(&self, graph: &Graph) -> Result<Requirements> {
        let mut needs = graph.footprint();
        self.check_memory(&needs)?;
        needs.host = needs.activations + needs.states;
        needs.seconds = needs.flops as f64 / self.rate.unwrap_or(GUESSED_RATE);
        Ok(needs)
    }

    fn device_peak(&self) -> u64 {
        0
    }

    /// All zero for a program that was released.
    fn requirements(&self, program: ProgramId) -> Requirements {
        self.programs.get(&program).map(|p| p.requirements).unwrap_or_default()
    }

    fn run(
        &mut self,
        program: ProgramId,
        inputs: &[(&str, &HostTensor)],
        control: &mut dyn Control,
    ) -> Result<BTreeMap<String, HostTensor>> {
        let program = self.programs.get(&program).ok_or_else(|| Error::Device {
            device: "CPU".into(),
            why: "the program to run was released before".into(),
            remedy: "compile it again".into(),
        })?;
        let graph = &program.graph;
        check_inputs(graph, inputs)?;
        let machine = Machine {
            weights: &*program.weights,
            precision: self.precision,
        };
        let mut frame = Frame::new(graph, &program.last_uses);
        let total: f64 = graph.values().map(|v| effort(graph.cost(v))).sum();
        let mut done = 0.0;
        for value in graph.values() {
            let node = graph.node(value);
            frame.enter(value.index());
            let result = match &node.op {
                Op::Input { name } => input(inputs, name, node)?,
                Op::State { name } => state(&self.states, name, &node.shape)?,
                Op::Parameter { name } => Data::F32(Slab::Shared(program.parameters[name].clone())),
                Op::Constant { data } => Data::F32(Slab::Borrowed(data)),
                Op::Fill { value } => Data::owned(vec![*value; node.elements()]),
                _ => {
                    if control.cancelled() {
                        return Err(Error::Cancelled);
                    }
                    let start = Instant::now();
                    let result = ops::compute(&machine, &mut frame, node)?;
                    let cost = graph.cost(value);
                    if self.profiling {
                        self.profile.push(OpTime {
                            op: node.op.name(),
                            label: node.label.clone(),
                            time: start.elapsed(),
                            cost,
                        });
                    }
                    done += effort(cost);
                    control.progress((done / total).min(1.0));
                    result
                }
            };
            frame.leave(result);
        }
        // Weights were read where they lie: what came of them counts only if their file is still the same.
        program.weights.check()?;

        let updates = graph.state_updates().iter().map(|(name, value)| {
            let state = State {
                shape: graph.node(*value).shape.clone(),
                values: frame.data(*value).clone().into_state()?,
            };
            Ok((name.clone(), state))
        });
        let updates: Vec<(String, State)> = updates.collect::<Result<_>>()?;
        let outputs: Vec<(&String, Value, Data)> = graph
            .outputs()
            .iter()
            .map(|(name, value)| (name, *value, frame.data(*value).clone()))
            .collect();
        // Without the frame, most outputs are the only users of their numbers and need no copy.
        drop(frame);
        self.states.extend(updates);
        Ok(outputs
            .into_iter()
            .map(|(name, value, data)| (name.clone(), data.into_host(&graph.node(value).shape)))
            .collect())
    }

    fn release(&mut self, program: ProgramId) {
        self.programs.remove(&program);
    }

    fn clear_states(&mut self) {
        self.states.clear();
    }

    fn set_profiling(&mut self, on: bool) {
        self.profiling = on;
    }

    fn take_profile(&mut self) -> Vec<OpTime> {
        std::mem::take(&mut self.profile)
    }
}

/// Operations per second of a processor that nobody has measured.
const GUESSED_RATE: f64 = 2e10;

/// Operations per second of a product of matrices.
fn measured_rate() -> f64 {
    const SIZE: usize = 512;
    let a = vec![0.5; SIZE * SIZE];
    let mut out = vec![0.0; SIZE * SIZE];
    let mut best = f64::INFINITY;
    for _ in 0..4 {
        let (x, y) = (Mat::new(&a, SIZE, SIZE, SIZE), Mat::new(&a, SIZE, SIZE, SIZE));
        let start = Instant::now();
        multiply(Target::new(&mut out, SIZE), Old::Overwritten, x, y, 1.0, Threads::All);
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * (SIZE * SIZE * SIZE) as f64 / best
}

/// A guess at an operation's time, in units that only compare: memory moves some ten bytes while a core adds or
/// multiplies a hundred times.
fn effort(cost: Cost) -> f64 {
    cost.flops as f64 + 10.0 * cost.bytes as f64
}

/// Every given input must be one of the graph's, and given once.
fn check_inputs(graph: &Graph, inputs: &[(&str, &HostTensor)]) -> Result<()> {
    for (index, (name, _)) in inputs.iter().enumerate() {
        let why = if !graph.inputs().any(|(known, _)| known == *name) {
            let known: Vec<&str> = graph.inputs().map(|(name, _)| name).collect();
            format!("the program has no such input; it has: {}", known.join(", "))
        } else if inputs[..index].iter().any(|(other, _)| other == name) {
            "it is given twice".to_owned()
        } else {
            continue;
        };
        return Err(Error::Input {
            name: (*name).to_owned(),
            why,
        });
    }
    Ok(())
}

fn input<'a>(inputs: &[(&str, &'a HostTensor)], name: &str, node: &Node) -> Result<Data<'a>> {
    let error = |why| Error::Input {
        name: name.to_owned(),
        why,
    };
    let Some((_, tensor)) = inputs.iter().find(|(given, _)| *given == name) else {
        return Err(error("it is missing".to_owned()));
    };
    if tensor.element_type() != node.element_type {
        return Err(error(format!(
            "its elements are {:?}, {:?} is needed",
            tensor.element_type(),
            node.element_type
        )));
    }
    if tensor.shape != node.shape {
        return Err(error(format!(
            "its shape is {:?}, {:?} is needed",
            tensor.shape, node.shape
        )));
    }
    if tensor.bytes().len() != 4 * tensor.len() {
        return Err(error(format!(
            "{} bytes do not fill its shape {:?}",
            tensor.bytes().len(),
            tensor.shape
        )));
    }
    Ok(Data::borrowed(tensor))
}

fn state<'a>(states: &BTreeMap<String, State>, name: &str, shape: &[usize]) -> Result<Data<'a>> {
    let error = |why| Error::State {
        name: name.to_owned(),
        why,
    };
    let state = states
        .get(name)
        .ok_or_else(|| error("no program has set it yet".to_owned()))?;
    if state.shape != shape {
        return Err(error(format!(
            "its shape is {:?}, the program reads {shape:?}",
            state.shape
        )));
    }
    Ok(Data::F32(Slab::Shared(state.values.clone())))
}
