//! What all measurements share: the device, the report that grows, progress and Ctrl-C.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use kinora_cpu::CpuExecutor;
use kinora_graph::{Builder, Cost, Error, Executor, Graph, HostTensor, Precision, ProgramId};
use kinora_quant::{DType, Weights};
use kinora_runtime::{Device, GpuExecutor, Options, Timing, Tuner};

use super::check::{GRAPH_TOLERANCE, TOLERANCE, compare};
use super::numbers::Inputs;
use super::ops::{Extent, Operation};
use super::report::{Check, Clock, Limit, Measured, Part, Report, Row};
use super::spread::{Budget, Spread};
use super::text;
use crate::convert::MadeUp;
use crate::interrupt::Interruptible;
use crate::profile::by_kind;
use crate::verify::bisect::INT8_SCORES_ERROR;

/// Most work of a graph that is done again on the processor, to compare.
const COMPARED: u64 = 200_000_000_000;

/// Seconds that a sample should have at least, where the device is so fast: short ones measure the clock.
const SAMPLE: f64 = 2e-3;

/// Most repetitions for that.
const REPEATS: f64 = 256.0;

/// Which arithmetic binds a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Products of the session's precision.
    Float,
    /// Products of bytes.
    Int8,
}

impl Unit {
    /// What products with weights of this type are made with.
    pub(super) fn of(dtype: DType) -> Self {
        match dtype {
            DType::Int8 | DType::Int8ConvRot(_) => Self::Int8,
            _ => Self::Float,
        }
    }
}

/// What a row is, before it is measured.
pub(super) struct Name {
    pub(super) kind: &'static str,
    pub(super) model: String,
    pub(super) name: String,
    pub(super) format: String,
    pub(super) reduced: bool,
    pub(super) unit: Unit,
}

/// A benchmark under way.
pub(super) struct Session<'o> {
    pub(super) device: Arc<Device>,
    pub(super) options: Options,
    pub(super) tuner: Option<Arc<Tuner>>,
    pub(super) budget: Budget,
    pub(super) report: Report,
    /// Hears of each result.
    pub(super) out: &'o mut dyn Write,
}

/// `Err` ends the whole benchmark: Ctrl-C, or nobody reads any more. What fails alone is a row with an error.
pub(super) type Outcome = anyhow::Result<()>;

impl Session<'_> {
    pub(super) fn executor(&self) -> GpuExecutor {
        GpuExecutor::with_options(self.device.clone(), self.device.capabilities(), self.options)
            .with_tuner(self.tuner.clone())
    }

    /// Whether the row is asked for; then `measure` makes it, and it is shown and kept.
    pub(super) fn row(
        &mut self,
        name: Name,
        shape: String,
        measure: impl FnOnce(&mut Self) -> kinora_graph::Result<(Cost, Measured)>,
    ) -> Outcome {
        let words = [
            name.kind,
            &name.model,
            &name.name,
            &name.format,
            &shape.replace(' ', ","),
        ];
        let id = words.join(" ");
        let filter = self.report.options.filter.as_deref();
        if filter.is_some_and(|filter| !id.contains(filter)) {
            return Ok(());
        }
        self.device.ledger().reset_peak();
        let (cost, measured, error) = match measure(self) {
            Ok((cost, measured)) => (cost, Some(measured), None),
            Err(error @ Error::Cancelled) => return Err(error.into()),
            Err(error) => (Cost::default(), None, Some(error.to_string())),
        };
        let row = Row {
            id,
            kind: name.kind.to_owned(),
            model: name.model,
            name: name.name,
            format: name.format,
            shape,
            reduced: name.reduced,
            flops: cost.flops,
            bytes: cost.bytes,
            measured,
            error,
        };
        writeln!(self.out, "{}", text::row(&row))?;
        self.out.flush()?;
        self.report.rows.push(row);
        Ok(())
    }

    /// A row of one operation.
    pub(super) fn operation(&mut self, name: Name, operation: &dyn Operation) -> Outcome {
        let unit = name.unit;
        self.row(name, operation.shape(), |session| {
            let weights: Arc<dyn Weights> = Arc::new(MadeUp::new(operation.tensors(), 1)?);
            let graph = |operation: &dyn Operation, extent| -> kinora_graph::Result<Graph> {
                let mut b = Builder::new(&*weights);
                let y = operation.build(&mut b, extent)?;
                b.output("y", y);
                Ok(b.finish())
            };
            let whole = graph(operation, Extent::Whole)?;
            let cost = whole.total_cost();
            let mut gpu = session.executor();
            tune(&mut gpu, &whole)?;
            let program = gpu.compile(whole, &weights)?;
            let inputs = operation.inputs();
            let found = one(gpu.run(program, &borrowed(&inputs), &mut Interruptible)?)?;
            let mut cpu = CpuExecutor::new(session.options.precision);
            let part = operation.sample(&inputs);
            let mut expected = |operation| -> kinora_graph::Result<Vec<f32>> {
                let sample = cpu.compile(graph(operation, Extent::Sample)?, &weights)?;
                one(cpu.run(sample, &borrowed(&part), &mut Interruptible)?)
            };
            let sampled = operation.sampled(&found);
            let check = match operation.exact() {
                None => compare(&sampled, &expected(operation)?, found.len(), TOLERANCE),
                Some(exact) => Check {
                    method_error: Some(compare(&sampled, &expected(&*exact)?, found.len(), f64::MAX).error),
                    ..compare(&sampled, &expected(operation)?, found.len(), INT8_SCORES_ERROR)
                },
            };
            drop((inputs, part, found));
            let measured = session.time(&mut gpu, program, &[], cost, unit, check)?;
            Ok((cost, measured))
        })
    }

    /// Times a program that has been run. `inputs` are those that it must be given each time. Where weights pass
    /// through the device's memory, whole runs are timed by the wall clock.
    fn time(
        &self,
        gpu: &mut GpuExecutor,
        program: ProgramId,
        inputs: &[(&str, &HostTensor)],
        cost: Cost,
        unit: Unit,
        check: Check,
    ) -> kinora_graph::Result<Measured> {
        let dispatches = gpu.plan(program).map_or(0, |plan| plan.dispatches.len());
        let streamed = gpu.requirements(program).streamed > 0;
        let mut once = |repeats| {
            if !streamed {
                return gpu.time(program, inputs, repeats, &mut Interruptible);
            }
            let start = Instant::now();
            gpu.run(program, inputs, &mut Interruptible)?;
            Ok(Timing {
                device: start.elapsed().as_secs_f64(),
                ..Timing::default()
            })
        };
        let first = once(1)?;
        let repeats = match inputs {
            [] => (SAMPLE / first.device.max(1e-9)).ceil().clamp(1.0, REPEATS) as usize,
            _ => 1,
        };
        let mut all = Timing::default();
        let seconds = self.budget.sample(|| {
            let timing = once(repeats)?;
            all += timing;
            Ok::<_, Error>(timing.device / repeats as f64)
        })?;
        Ok(Measured {
            limit: self.limit(cost, unit, seconds),
            seconds,
            clock: if streamed { Clock::Wall } else { self.clock() },
            dispatches,
            host_seconds_per_dispatch: all.host / (all.dispatches as f64).max(1.0),
            memory: self.device.ledger().peak(),
            check,
            parts: Vec::new(),
        })
    }

    fn clock(&self) -> Clock {
        match self.device.description().timestamps {
            true => Clock::Device,
            false => Clock::Wall,
        }
    }

    /// How near `seconds` is to what the ceilings allow: the roofline.
    fn limit(&self, cost: Cost, unit: Unit, seconds: Spread) -> Option<Limit> {
        // A unit of narrower numbers that is slower than one of wider ones binds nobody.
        let units: &[&str] = match (unit, self.options.precision) {
            (Unit::Float, Precision::F32) => &["peak.f32"],
            (Unit::Float, Precision::F16) => &[
                "peak.f32",
                "peak.f16",
                "peak.matrix8",
                "peak.matrix16",
                "peak.matrix8x16x16",
            ],
            (Unit::Int8, _) => &["peak.f32", "peak.f16", "peak.int8"],
        };
        let rates = units
            .iter()
            .filter_map(|name| Some((*name, self.report.ceiling(name)?)));
        let (peak, rate) = rates.max_by(|a, b| a.1.total_cmp(&b.1))?;
        let arithmetic = (peak, cost.flops as f64 / rate);
        let memory = ("copy", cost.bytes as f64 / self.report.ceiling("copy")?);
        let (ceiling, least) = if arithmetic.1 > memory.1 { arithmetic } else { memory };
        Some(Limit {
            ceiling: ceiling.to_owned(),
            seconds: least,
            fraction: least / seconds.median,
        })
    }

    /// A row of a whole graph with one output. `prepare` runs on each executor before: it sets states.
    pub(super) fn graph(
        &mut self,
        name: Name,
        shape: String,
        weights: &Arc<dyn Weights>,
        graph: impl FnOnce() -> kinora_graph::Result<Graph>,
        inputs: &Inputs,
        prepare: &dyn Fn(&mut dyn Executor) -> kinora_graph::Result<()>,
    ) -> Outcome {
        let unit = name.unit;
        self.row(name, shape, |session| {
            let graph = graph()?;
            let cost = graph.total_cost();
            let inputs = borrowed(inputs);
            let mut gpu = session.executor();
            tune(&mut gpu, &graph)?;
            prepare(&mut gpu)?;
            let program = gpu.compile(graph.clone(), weights)?;
            let found = one(gpu.run(program, &inputs, &mut Interruptible)?)?;
            let check = if cost.flops <= COMPARED {
                let mut cpu = CpuExecutor::new(session.options.precision);
                prepare(&mut cpu)?;
                let program = cpu.compile(graph, weights)?;
                let expected = one(cpu.run(program, &inputs, &mut Interruptible)?)?;
                compare(&found, &expected, found.len(), GRAPH_TOLERANCE)
            } else {
                compare(&[], &[], found.len(), GRAPH_TOLERANCE).and(found.iter().all(|v| v.is_finite()))
            };
            let mut measured = session.time(&mut gpu, program, &inputs, cost, unit, check)?;
            gpu.set_profiling(true);
            gpu.run(program, &inputs, &mut Interruptible)?;
            let parts = by_kind(&gpu.take_profile()).into_iter();
            measured.parts = parts
                .map(|kind| Part {
                    op: kind.op.to_owned(),
                    count: kind.count,
                    seconds: kind.time.as_secs_f64(),
                    flops: kind.cost.flops,
                    bytes: kind.cost.bytes,
                })
                .collect();
            Ok((cost, measured))
        })
    }
}

/// Times kernels for `graph` where this device has not met its work before: no part of what a row says.
fn tune(gpu: &mut GpuExecutor, graph: &Graph) -> kinora_graph::Result<()> {
    gpu.forecast(graph)?;
    gpu.tune(&mut Interruptible)
}

/// Inputs as executors take them.
pub(super) fn borrowed(inputs: &Inputs) -> Vec<(&str, &HostTensor)> {
    inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

/// The numbers of the only output.
fn one(outputs: BTreeMap<String, HostTensor>) -> kinora_graph::Result<Vec<f32>> {
    outputs
        .into_values()
        .next()
        .map_or(Ok(Vec::new()), HostTensor::into_f32)
}
