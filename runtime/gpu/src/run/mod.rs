//! The executor: replays plans on a device.

mod flight;
mod measure;
mod memory;
mod profile;
mod program;
mod supply;
mod time;
mod weights;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kinora_graph::{
    Control, ElementType, Error, Executor, Graph, HostTensor, KernelChoice, OpTime, Precision, ProgramId, Requirements,
    Result,
};
use kinora_quant::Weights;

use crate::device::{Device, STAGING, Staged};
use crate::plan::{Capabilities, Dispatch, Options, Plan, Port, Residency};
use crate::tune::{Choice, Table, Tuner};
use flight::{Flight, Pace};
use measure::Rates;
use memory::Memory;
use profile::Profile;
use program::Program;
use supply::Supply;
use weights::{Piece, Store};

/// Runs graphs on a graphics device.
///
/// Programs share weights (by weights object, name and rows), states, and the arenas for intermediate values: one
/// program runs at a time. The same inputs give the same bits on the same device, with the same table of tiles
/// where half precision is asked for.
pub struct GpuExecutor {
    device: Arc<Device>,
    capabilities: Capabilities,
    options: Options,
    tuner: Option<Arc<Tuner>>,
    /// Of all plans so far, by their classes' names.
    choices: RefCell<BTreeMap<String, Choice>>,
    programs: BTreeMap<ProgramId, Program>,
    next: u64,
    store: Store,
    memory: Memory,
    pace: Pace,
    rates: Option<Rates>,
    profiling: bool,
    profile: Vec<OpTime>,
    host_time: Duration,
}

impl GpuExecutor {
    /// An executor on `device`.
    pub fn new(device: Arc<Device>, precision: Precision) -> Self {
        let capabilities = device.capabilities();
        let options = Options {
            precision,
            ..Options::default()
        };
        Self::with_options(device, capabilities, options)
    }

    /// An executor whose plans respect `capabilities`, which may be narrower than the device's own.
    pub fn with_options(device: Arc<Device>, capabilities: Capabilities, options: Options) -> Self {
        Self {
            device,
            capabilities,
            options,
            tuner: None,
            choices: RefCell::default(),
            programs: BTreeMap::new(),
            next: 0,
            store: Store::default(),
            memory: Memory::default(),
            pace: Pace::default(),
            rates: None,
            profiling: false,
            profile: Vec::new(),
            host_time: Duration::ZERO,
        }
    }

    /// The executor with plans that use what `tuner` has measured on its device. Without one, rules choose.
    #[must_use]
    pub fn with_tuner(self, tuner: Option<Arc<Tuner>>) -> Self {
        Self { tuner, ..self }
    }

    fn make_plan(&self, graph: &Graph) -> Result<Plan> {
        let table = self
            .tuner
            .as_ref()
            .map_or_else(Table::default, |tuner| tuner.table().clone());
        let plan = Plan::new(graph, &self.capabilities, &table, &self.options)?;
        let named = plan.choices.iter().map(|choice| (choice.key.to_string(), *choice));
        self.choices.borrow_mut().extend(named);
        Ok(plan)
    }

    /// The plan of a program, to be printed; `None` where there is no such program.
    pub fn plan(&self, program: ProgramId) -> Option<&Plan> {
        self.programs.get(&program).map(|p| &p.plan)
    }

    fn needs(&self, plan: &Plan, residency: &Residency) -> Requirements {
        let mut needs = plan.requirements(residency);
        needs.host += STAGING;
        if let Some(rates) = self.rates {
            let work: f64 = plan.ops.iter().map(|op| rates.speed.seconds(op.cost)).sum();
            needs.seconds = work + residency.streamed as f64 / rates.upload;
        }
        needs
    }

    /// Places for the weights of a plan in the memory that is left when `taken` bytes are.
    fn residency(&self, plan: &Plan, taken: u64, held: impl Fn(usize) -> bool) -> Result<Residency> {
        let taken = taken + plan.constant_bytes();
        let available = match self.options.memory {
            None => None,
            Some(memory) => Some(memory.checked_sub(taken).ok_or_else(|| Error::OutOfMemory {
                what: "what is computed between the layers of the model".into(),
                needed: taken,
                available: memory,
                remedy: "raise `--vram`, or render a smaller picture or fewer frames".into(),
            })?),
        };
        Residency::choose(plan, available, self.capabilities.max_buffer, held)
    }

    fn ensure_memory(&mut self, program: ProgramId) -> Result<()> {
        let Self {
            device,
            memory,
            programs,
            ..
        } = self;
        let program = known(programs, program)?;
        // Where making room fails half-way, buffers have changed too.
        let changed = memory.ensure(device, program);
        if !matches!(changed, Ok(false)) {
            programs.values_mut().for_each(Program::invalidate);
        }
        changed.map(|_| ())
    }
}

fn known(programs: &BTreeMap<ProgramId, Program>, id: ProgramId) -> Result<&Program> {
    programs.get(&id).ok_or_else(|| Error::Input {
        name: format!("program {}", id.0),
        why: "this executor has no such program; it was released, or belongs to another".into(),
    })
}

impl Executor for GpuExecutor {
    fn describe(&self) -> String {
        let description = self.device.description();
        let precision = match self.options.precision {
            Precision::F32 => "f32",
            Precision::F16 if self.capabilities.features.matrices() => "f16 by matrix units",
            Precision::F16 => "f16",
        };
        format!("{} ({}), {precision}", description.name, description.backend)
    }

    fn rounds_probabilities(&self) -> bool {
        let features = self.capabilities.features;
        self.options.precision == Precision::F16 && (features.matrix8 || features.matrix16)
    }

    fn compile(&mut self, graph: Graph, weights: &Arc<dyn Weights>) -> Result<ProgramId> {
        let plan = self.make_plan(&graph)?;
        let others = self.device.ledger().held() - self.memory.bytes();
        let taken = others + self.memory.bytes_with(&plan) - self.memory.ring_bytes();
        let held = |w: usize| self.store.has(weights, &plan.weights[w]);
        let mut residency = self.residency(&plan, taken, held)?;
        let ring = self.memory.ring_bytes();
        if residency.ring_bytes() < ring {
            // The ring of other programs stays as large as it is.
            residency = self.residency(&plan, taken + ring, held)?;
        }
        let program = Program::new(&self.device, &mut self.store, plan, residency, &graph, weights);
        // What a failed attempt has uploaded is not kept.
        self.store.sweep();
        let id = ProgramId(self.next);
        self.next += 1;
        self.programs.insert(id, program?);
        if let Err(error) = self.ensure_memory(id) {
            self.release(id);
            return Err(error);
        }
        Ok(id)
    }

    fn measure(&mut self) -> Result<()> {
        self.rates = Some(Rates::measure(&self.device, self)?);
        // What that took is free again, and is no part of what programs take.
        self.device.ledger().reset_peak();
        Ok(())
    }

    fn tune(&mut self, control: &mut dyn Control) -> Result<()> {
        let Some(tuner) = &self.tuner else { return Ok(()) };
        let mut unknown: Vec<_> = self.choices.borrow().values().copied().collect();
        unknown.retain(|choice| tuner.table().get(&choice.key).is_none());
        // Time may be short: what matters most comes first, and before all what must not be another at the next run.
        unknown.sort_by_key(|choice| (choice.key.operation.is_exact(), std::cmp::Reverse(choice.work)));
        if unknown.is_empty() {
            return Ok(());
        }
        let ledger = self.device.ledger();
        let left = self.options.memory.map(|memory| memory.saturating_sub(ledger.held()));
        let result = tuner.tune(&unknown, left, control);
        // As after `measure`.
        ledger.reset_peak();
        result
    }

    fn kernel_choices(&self) -> Vec<KernelChoice> {
        let table = self.tuner.as_ref().map(|tuner| tuner.table());
        let choices = self.choices.borrow();
        let described = choices.iter().map(|(work, choice)| {
            let measured = table.as_ref().and_then(|table| table.get(&choice.key));
            KernelChoice {
                work: work.clone(),
                kernel: measured.unwrap_or(choice.tile).name(),
                measured: measured.is_some(),
            }
        });
        described.collect()
    }

    fn forecast(&self, graph: &Graph) -> Result<Requirements> {
        let plan = self.make_plan(graph)?;
        let residency = self.residency(&plan, Memory::default().bytes_with(&plan), |_| false)?;
        Ok(self.needs(&plan, &residency))
    }

    fn device_peak(&self) -> u64 {
        self.device.ledger().peak()
    }

    fn requirements(&self, program: ProgramId) -> Requirements {
        let program = self.programs.get(&program);
        program.map(|p| self.needs(&p.plan, &p.residency)).unwrap_or_default()
    }

    fn run(
        &mut self,
        program: ProgramId,
        inputs: &[(&str, &HostTensor)],
        control: &mut dyn Control,
    ) -> Result<BTreeMap<String, HostTensor>> {
        let plan = &known(&self.programs, program)?.plan;
        check_inputs(&plan.inputs, inputs)?;
        self.memory.check(plan)?;
        self.ensure_memory(program)?;
        let device = self.device.clone();
        let Some(held) = self.programs.get_mut(&program) else {
            return Ok(BTreeMap::new());
        };
        held.bind(&device, &self.memory)?;
        held.bring(&device, &self.memory, inputs)?;
        let mut profile = self.profiling.then(Profile::default);
        let mut flight = Flight::new(&device, control, &mut self.pace, held.plan.seconds());
        let (held, memory, slice) = (&*held, &self.memory, self.options.slice);
        let pieces = held.pieces()?;
        if pieces.is_empty() {
            let mut supply = Supply::new(None, &[]);
            replay(&device, held, memory, slice, &mut supply, &mut flight, &mut profile)?;
        } else {
            let fill = |piece: &Piece, staged: &mut Staged| weights::fill(&held.plan, &*held.source, piece, staged);
            device.feed(&pieces, fill, |feed| {
                let mut supply = Supply::new(Some(feed), &pieces);
                replay(&device, held, memory, slice, &mut supply, &mut flight, &mut profile)
            })?;
        }
        let times = std::mem::take(&mut flight.times);
        self.host_time += flight.host;
        if let Some(profile) = profile {
            self.profile.extend(profile.finish(&device, &held.plan, &times)?);
        }
        let outputs = read_outputs(&device, held)?;
        let plan = &self.programs[&program].plan;
        self.memory.wrote(plan);
        Ok(outputs)
    }

    fn release(&mut self, program: ProgramId) {
        self.programs.remove(&program);
        self.store.sweep();
        if self.memory.trim(self.programs.values()) {
            self.programs.values_mut().for_each(Program::invalidate);
        }
    }

    fn clear_states(&mut self) {
        self.memory.clear_states();
        self.programs.values_mut().for_each(Program::invalidate);
    }

    fn set_profiling(&mut self, on: bool) {
        self.profiling = on;
    }

    fn take_profile(&mut self) -> Vec<OpTime> {
        std::mem::take(&mut self.profile)
    }

    fn take_host_time(&mut self) -> Duration {
        std::mem::take(&mut self.host_time)
    }
}

/// Where the submission that begins with dispatch `start` ends, `limit` at the latest, and its estimated seconds: at
/// most `slice` where it has more than one dispatch.
fn slice_end(dispatches: &[Dispatch], start: usize, limit: usize, pace: Pace, slice: f64) -> (usize, f64) {
    let (mut end, mut estimated) = (start, 0.0);
    while end < dispatches.len().min(limit) {
        let next = dispatches[end].seconds;
        if end > start && pace.correct(estimated + next) > slice {
            break;
        }
        estimated += next;
        end += 1;
    }
    (end, estimated)
}

/// Submits all dispatches in slices, each after the weights that it needs, then copies outputs and states.
fn replay(
    device: &Device,
    program: &Program,
    memory: &Memory,
    slice: f64,
    supply: &mut Supply<'_>,
    flight: &mut Flight<'_>,
    profile: &mut Option<Profile>,
) -> Result<()> {
    let dispatches = &program.plan.dispatches;
    let mut start = 0;
    while start < dispatches.len() {
        supply.before(start, program, memory, flight)?;
        let horizon = supply.horizon(start);
        let most = if profile.is_some() { profile::MOST } else { usize::MAX };
        let limit = horizon.min(start.saturating_add(most));
        let (end, estimated) = slice_end(dispatches, start, limit, flight.pace(), slice);
        let begun = Instant::now();
        let mut encoder = device.raw().create_command_encoder(&Default::default());
        match profile {
            None => {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                (start..end).for_each(|index| program.dispatch(&mut pass, index));
            }
            Some(profile) => {
                profile.begin(device, start..end)?;
                for index in start..end {
                    program.dispatch(&mut profile.pass(&mut encoder, index), index);
                }
                profile.end(&mut encoder);
            }
        }
        flight.submit(encoder.finish(), estimated, begun)?;
        start = end;
    }
    let begun = Instant::now();
    // Outputs first: one may be the old value of a state.
    let mut encoder = device.raw().create_command_encoder(&Default::default());
    let mut offset = 0;
    for Port { region, .. } in &program.plan.outputs {
        let from = program.buffer(memory, region.buffer);
        encoder.copy_buffer_to_buffer(from, region.offset, &program.readback, offset, region.size);
        offset += region.size;
    }
    for Port { name, region, .. } in &program.plan.updates {
        let from = program.buffer(memory, region.buffer);
        let state = &memory.state(name).buffer;
        encoder.copy_buffer_to_buffer(from, region.offset, state, 0, region.size);
    }
    flight.submit(encoder.finish(), 0.0, begun)?;
    flight.finish()
}

fn read_outputs(device: &Device, program: &Program) -> Result<BTreeMap<String, HostTensor>> {
    let ports = &program.plan.outputs;
    let size = ports.iter().map(|port| port.region.size).sum();
    if size == 0 {
        return Ok(BTreeMap::new());
    }
    device.read(&program.readback, size, |mut bytes| {
        ports
            .iter()
            .map(|port| {
                let (own, rest) = bytes.split_at(port.region.size as usize);
                bytes = rest;
                let tensor = match port.element_type {
                    ElementType::F32 => HostTensor::f32(&port.shape, bytemuck::pod_collect_to_vec(own)),
                    ElementType::U32 => HostTensor::u32(&port.shape, bytemuck::pod_collect_to_vec(own)),
                };
                (port.name.clone(), tensor)
            })
            .collect()
    })
}

/// Every input given once, of the right shape and type, indices within their tables.
fn check_inputs(ports: &[Port], inputs: &[(&str, &HostTensor)]) -> Result<()> {
    let error = |name: &str, why: String| {
        let name = name.to_owned();
        Err(Error::Input { name, why })
    };
    for (name, _) in inputs {
        if !ports.iter().any(|port| port.name == *name) {
            return error(name, "the program has no such input".into());
        }
    }
    for port in ports {
        let Some((_, tensor)) = inputs.iter().find(|(name, _)| *name == port.name) else {
            return error(&port.name, "it is missing".into());
        };
        if tensor.shape != port.shape {
            let why = format!("it has shape {:?}, {:?} is needed", tensor.shape, port.shape);
            return error(&port.name, why);
        }
        if tensor.element_type() != port.element_type {
            return Err(Error::ElementType {
                expected: port.element_type,
                found: tensor.element_type(),
            });
        }
        if let Some(limit) = port.limit
            && let Some(bad) = tensor.as_u32()?.iter().find(|v| **v >= limit)
        {
            let why = format!("it has the index {bad}; the table has {limit} rows");
            return error(&port.name, why);
        }
    }
    Ok(())
}
