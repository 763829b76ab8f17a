//! Which operation a device computes differently.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinora_cpu::CpuExecutor;
use kinora_graph::{
    Control, Error, Executor, Graph, HostTensor, NoControl, Op, OpTime, Precision, ProgramId, Requirements, Result,
    Scores, Value,
};
use kinora_quant::Weights;
use serde::Serialize;

use super::{Difference, Tolerance};

/// How far one operation's result may be from the processor's. Both get the same operands and round them alike, so
/// that only the order of summation and the last bits of functions such as exp differ: 2e-5 is the most that was seen
/// (attention to 512 rows of text of which 503 are equal, whose sum drifts), 1e-6 is usual. Rounding the operands of a
/// product to f16 on one side only makes 1e-4 and more.
const TOLERANCE: Tolerance = Tolerance {
    cosine: 0.999_999,
    max_rel: 5e-5,
};

/// The same of attention where the device rounds probabilities to f16 and the processor does not: one such rounding.
const ROUNDED_PROBABILITIES: Tolerance = Tolerance {
    max_rel: 1.0 / 2048.0,
    ..TOLERANCE
};

/// The largest error of int8 attention. Where a device divides less exactly than the processor, a number next to the middle between
/// two bytes becomes the other one: one byte of a query moves its row by some 5e-4, one of a key by far less. The method's
/// own error is about 5e-3, and a device that quantised otherwise would be as far off.
pub(crate) const INT8_SCORES_ERROR: f64 = 2e-3;

const INT8_SCORES: Tolerance = Tolerance {
    max_rel: INT8_SCORES_ERROR,
    ..TOLERANCE
};

/// An operation whose result on the device is not the processor's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Divergence {
    /// Operation, e.g. "linear".
    pub op: String,
    /// Where in the model.
    pub label: String,
    /// Number of the operation among all that the case ran.
    pub position: usize,
    /// Shapes of its operands.
    pub operands: Vec<Vec<usize>>,
    /// Shape of its result.
    pub shape: Vec<usize>,
    /// Largest max_rel that it may have.
    pub limit: f64,
    /// How far the results are apart, where the device gave one.
    #[serde(flatten)]
    pub difference: Option<Difference>,
    /// What the device said, where it did not.
    pub error: Option<String>,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} at `{}` (operation {}) {:?} -> {:?}: ",
            self.op, self.label, self.position, self.operands, self.shape
        )?;
        match (&self.difference, &self.error) {
            (Some(d), _) => write!(f, "max_rel {:.1e} cosine {:.7}", d.max_rel, d.cosine),
            (None, error) => f.write_str(error.as_deref().unwrap_or("no result")),
        }
    }
}

/// What came of running every operation of a case by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bisect {
    /// Operations that ran.
    pub operations: usize,
    /// The first that left its tolerance.
    pub first: Option<Divergence>,
    /// The operation with the largest error for its limit, whether within its tolerance or not.
    pub worst: Option<Divergence>,
}

/// Runs programs on the processor, and every operation of them a second time on a device.
pub(super) struct BisectExecutor<'d> {
    device: &'d mut dyn Executor,
    cpu: CpuExecutor,
    programs: BTreeMap<ProgramId, (Graph, Arc<dyn Weights>)>,
    states: BTreeMap<String, HostTensor>,
    found: Bisect,
}

impl<'d> BisectExecutor<'d> {
    pub(super) fn new(device: &'d mut dyn Executor, precision: Precision) -> Self {
        Self {
            device,
            cpu: CpuExecutor::new(precision),
            programs: BTreeMap::new(),
            states: BTreeMap::new(),
            found: Bisect {
                operations: 0,
                first: None,
                worst: None,
            },
        }
    }

    pub(super) fn finish(self) -> Bisect {
        self.found
    }

    /// One operation on the device.
    fn alone(
        &mut self,
        graph: &Graph,
        value: Value,
        weights: &Arc<dyn Weights>,
        known: &Known<'_>,
    ) -> Result<HostTensor> {
        let graph = graph.isolate(value);
        let operands: Vec<(String, HostTensor)> = graph
            .inputs()
            .map(|(name, _)| {
                (
                    name.to_owned(),
                    known.by_index(name).expect("operands come before their operation"),
                )
            })
            .collect();
        let inputs: Vec<(&str, &HostTensor)> = operands.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let program = self.device.compile(graph, weights)?;
        let result = self.device.run(program, &inputs, &mut NoControl);
        self.device.release(program);
        Ok(result?.remove("out").expect("every output of a graph comes back"))
    }

    fn record(&mut self, graph: &Graph, value: Value, result: Result<Difference, String>) {
        self.found.operations += 1;
        let node = graph.node(value);
        let tolerance = match &node.op {
            Op::Attention(op) if op.scores == Scores::Int8 => INT8_SCORES,
            Op::Attention(_) if self.device.rounds_probabilities() => ROUNDED_PROBABILITIES,
            _ => TOLERANCE,
        };
        let divergence = |difference, error| Divergence {
            op: node.op.name().to_owned(),
            label: node.label.clone(),
            position: self.found.operations,
            operands: node
                .op
                .operands()
                .iter()
                .map(|v| graph.node(*v).shape.clone())
                .collect(),
            shape: node.shape.clone(),
            limit: tolerance.max_rel,
            difference,
            error,
        };
        let (divergence, leaves) = match result {
            Ok(d) => (divergence(Some(d), None), !d.within(tolerance)),
            Err(why) => (divergence(None, Some(why)), true),
        };
        let error = |d: &Divergence| d.difference.map_or(f64::INFINITY, |found| found.max_rel / d.limit);
        if self
            .found
            .worst
            .as_ref()
            .is_none_or(|worst| error(&divergence) > error(worst))
        {
            self.found.worst = Some(divergence.clone());
        }
        if leaves && self.found.first.is_none() {
            self.found.first = Some(divergence);
        }
    }
}

/// Every value of a run that an operation can take as an operand from the host.
struct Known<'a> {
    graph: &'a Graph,
    inputs: &'a [(&'a str, &'a HostTensor)],
    states: &'a BTreeMap<String, HostTensor>,
    computed: &'a BTreeMap<String, HostTensor>,
}

impl Known<'_> {
    fn by_index(&self, index: &str) -> Option<HostTensor> {
        self.value(self.graph.values().nth(index.parse().ok()?)?)
    }

    fn value(&self, value: Value) -> Option<HostTensor> {
        let node = self.graph.node(value);
        match &node.op {
            Op::Input { name } => self
                .inputs
                .iter()
                .find(|(given, _)| given == name)
                .map(|(_, tensor)| (*tensor).clone()),
            Op::State { name } => self.states.get(name).cloned(),
            Op::Fill { value } => Some(HostTensor::f32(&node.shape, vec![*value; node.elements()])),
            Op::Constant { data } => Some(HostTensor::f32(&node.shape, data.clone())),
            _ => self.computed.get(&output_name(value)).cloned(),
        }
    }
}

/// How [`Graph::with_all_outputs`] names a value.
fn output_name(value: Value) -> String {
    format!("{:05}", value.index())
}

impl Executor for BisectExecutor<'_> {
    fn describe(&self) -> String {
        format!("{} against {}", self.device.describe(), self.cpu.describe())
    }

    fn compile(&mut self, graph: Graph, weights: &Arc<dyn Weights>) -> Result<ProgramId> {
        let program = self.cpu.compile(graph.with_all_outputs(), weights)?;
        self.programs.insert(program, (graph, weights.clone()));
        Ok(program)
    }

    fn measure(&mut self) -> Result<()> {
        self.cpu.measure()
    }

    fn forecast(&self, graph: &Graph) -> Result<Requirements> {
        self.cpu.forecast(graph)
    }

    fn device_peak(&self) -> u64 {
        self.cpu.device_peak()
    }

    fn requirements(&self, program: ProgramId) -> Requirements {
        self.cpu.requirements(program)
    }

    fn run(
        &mut self,
        program: ProgramId,
        inputs: &[(&str, &HostTensor)],
        control: &mut dyn Control,
    ) -> Result<BTreeMap<String, HostTensor>> {
        let computed = self.cpu.run(program, inputs, control)?;
        let (graph, weights) = self.programs.get(&program).expect("the processor has run it").clone();
        let states = std::mem::take(&mut self.states);
        let known = Known {
            graph: &graph,
            inputs,
            states: &states,
            computed: &computed,
        };
        for value in graph.values().filter(|v| !graph.node(*v).op.is_leaf()) {
            if control.cancelled() {
                return Err(Error::Cancelled);
            }
            let expected = known.value(value).expect("every computed value is an output");
            let result = self.alone(&graph, value, &weights, &known).map_err(|e| e.to_string());
            self.record(
                &graph,
                value,
                result.and_then(|actual| super::compare::difference(&actual, &expected, None)),
            );
        }
        let take = |(name, value): (&String, &Value)| Some((name.clone(), known.value(*value)?));
        let updates: Vec<_> = graph.state_updates().iter().filter_map(take).collect();
        let outputs = graph.outputs().iter().filter_map(take).collect();
        self.states = states;
        self.states.extend(updates);
        Ok(outputs)
    }

    fn release(&mut self, program: ProgramId) {
        self.programs.remove(&program);
        self.cpu.release(program);
    }

    fn clear_states(&mut self) {
        self.states.clear();
        self.cpu.clear_states();
    }

    fn set_profiling(&mut self, on: bool) {
        self.cpu.set_profiling(on);
    }

    fn take_profile(&mut self) -> Vec<OpTime> {
        self.cpu.take_profile()
    }
}

#[cfg(test)]
mod tests {
    use kinora_graph::{Builder, Scope};
    use kinora_quant::Tensor;

    use super::*;

    /// A processor that doubles what one place in the model computes, or refuses to.
    struct Faulty {
        inner: CpuExecutor,
        place: &'static str,
        refuses: bool,
        faulty: Vec<ProgramId>,
    }

    impl Executor for Faulty {
        fn describe(&self) -> String {
            "faulty".to_owned()
        }

        fn compile(&mut self, graph: Graph, weights: &Arc<dyn Weights>) -> Result<ProgramId> {
            let here = graph.nodes().last().is_some_and(|node| node.label == self.place);
            let program = self.inner.compile(graph, weights)?;
            self.faulty.extend(here.then_some(program));
            Ok(program)
        }

        fn measure(&mut self) -> Result<()> {
            self.inner.measure()
        }

        fn forecast(&self, graph: &Graph) -> Result<Requirements> {
            self.inner.forecast(graph)
        }

        fn device_peak(&self) -> u64 {
            self.inner.device_peak()
        }

        fn requirements(&self, program: ProgramId) -> Requirements {
            self.inner.requirements(program)
        }

        fn run(
            &mut self,
            program: ProgramId,
            inputs: &[(&str, &HostTensor)],
            control: &mut dyn Control,
        ) -> Result<BTreeMap<String, HostTensor>> {
            let mut outputs = self.inner.run(program, inputs, control)?;
            if self.faulty.contains(&program) {
                if self.refuses {
                    return Err(Error::Cancelled);
                }
                for tensor in outputs.values_mut() {
                    let doubled = tensor.as_f32()?.iter().map(|v| 2.0 * v).collect();
                    *tensor = HostTensor::f32(&tensor.shape, doubled);
                }
            }
            Ok(outputs)
        }

        fn release(&mut self, program: ProgramId) {
            self.inner.release(program);
        }

        fn clear_states(&mut self) {
            self.inner.clear_states();
        }

        fn set_profiling(&mut self, on: bool) {
            self.inner.set_profiling(on);
        }

        fn take_profile(&mut self) -> Vec<OpTime> {
            self.inner.take_profile()
        }
    }

    /// Two programs that share a state, with `place` computed wrongly; what bisecting finds, and the outputs.
    fn bisect(place: &'static str, refuses: bool) -> (Bisect, HostTensor) {
        let weights: Arc<dyn Weights> = Arc::new(BTreeMap::<String, Tensor<'_>>::new());
        let build = |second: bool| {
            let mut b = Builder::new(&*weights);
            let x = b.input("x", &[3]);
            b.label(&Scope::root(), "first");
            let y = b.add(x, x).unwrap();
            b.label(&Scope::root(), "second");
            let before = if second {
                b.state("kept", &[3])
            } else {
                b.fill(&[3], 1.0)
            };
            let z = b.add(y, before).unwrap();
            b.set_state("kept", z);
            b.output("z", z);
            b.finish()
        };
        let inner = CpuExecutor::new(Precision::F32);
        let mut device = Faulty {
            inner,
            place,
            refuses,
            faulty: Vec::new(),
        };
        let mut executor = BisectExecutor::new(&mut device, Precision::F32);
        let x = HostTensor::f32(&[3], vec![1.0, 2.0, 3.0]);
        let mut out = x.clone();
        for second in [false, true] {
            let program = executor.compile(build(second), &weights).unwrap();
            out = executor
                .run(program, &[("x", &x)], &mut NoControl)
                .unwrap()
                .remove("z")
                .unwrap();
            executor.release(program);
        }
        (executor.finish(), out)
    }

    #[test]
    fn the_first_operation_that_differs_is_named() {
        let (found, out) = bisect("nowhere", false);
        assert_eq!((found.operations, found.first), (4, None));
        assert_eq!(out.as_f32().unwrap(), [5.0, 9.0, 13.0]);

        // Both operations before it are right, and so is everything that follows from its right result.
        let (found, out) = bisect("second", false);
        let first = found.first.unwrap();
        assert_eq!(
            (first.label.as_str(), first.position, first.shape.as_slice()),
            ("second", 2, &[3][..])
        );
        assert!(first.difference.unwrap().max_rel > 0.9 && first.error.is_none());
        assert_eq!(out.as_f32().unwrap(), [5.0, 9.0, 13.0]);

        let (found, _) = bisect("first", true);
        let first = found.first.unwrap();
        assert_eq!((first.label.as_str(), first.position), ("first", 1));
        assert!(first.error.is_some());
    }
}
