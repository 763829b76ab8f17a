//! Programs, states, inputs and control.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use kinora_cpu::CpuExecutor;
use kinora_graph::{
    Activation, Builder, Control, Epilogue, Error, Executor, Graph, HostTensor, NoControl, Precision, ProgramId, Scope,
};
use kinora_quant::synth::RuleWeights;
use kinora_quant::{Tensor, Weights};

fn no_weights() -> Arc<dyn Weights> {
    Arc::new(BTreeMap::<String, Tensor<'static>>::new())
}

fn graph(build: impl FnOnce(&mut Builder<'_>)) -> Graph {
    let weights = no_weights();
    let mut builder = Builder::new(&*weights);
    build(&mut builder);
    builder.finish()
}

fn numbers(values: &[f32]) -> HostTensor {
    HostTensor::f32(&[values.len()], values.to_vec())
}

fn run(cpu: &mut CpuExecutor, program: ProgramId, inputs: &[(&str, &HostTensor)]) -> kinora_graph::Result<Vec<f32>> {
    cpu.run(program, inputs, &mut NoControl)?
        .remove("out")
        .expect("an output named out")
        .into_f32()
}

/// Two programs that share the state `sum`.
fn counters(cpu: &mut CpuExecutor) -> [ProgramId; 2] {
    let start = graph(|b| {
        let x = b.input("x", &[2]);
        b.set_state("sum", x);
        b.output("out", x);
    });
    let next = graph(|b| {
        let (x, sum) = (b.input("x", &[2]), b.state("sum", &[2]));
        let new = b.add(sum, x).unwrap();
        b.set_state("sum", new);
        // Reads what was there before the run, whatever the run writes.
        let old = b.concat(&[sum, new]).unwrap();
        b.output("out", old);
    });
    [start, next].map(|graph| cpu.compile(graph, &no_weights()).unwrap())
}

#[test]
fn states_pass_from_program_to_program() {
    let mut cpu = CpuExecutor::new(Precision::F32);
    let [start, next] = counters(&mut cpu);
    let x = numbers(&[1.0, 10.0]);
    assert_eq!(run(&mut cpu, start, &[("x", &x)]).unwrap(), [1.0, 10.0]);
    assert_eq!(run(&mut cpu, next, &[("x", &x)]).unwrap(), [1.0, 10.0, 2.0, 20.0]);
    cpu.release(start);
    assert_eq!(run(&mut cpu, next, &[("x", &x)]).unwrap(), [2.0, 20.0, 3.0, 30.0]);
    cpu.clear_states();
    let error = run(&mut cpu, next, &[("x", &x)]).unwrap_err();
    assert!(matches!(&error, Error::State { name, .. } if name == "sum"), "{error}");
    assert!(matches!(run(&mut cpu, start, &[("x", &x)]), Err(Error::Device { .. })));
}

#[test]
fn states_of_another_shape_are_refused() {
    let mut cpu = CpuExecutor::new(Precision::F32);
    let [start, _] = counters(&mut cpu);
    run(&mut cpu, start, &[("x", &numbers(&[0.0, 0.0]))]).unwrap();
    let other = graph(|b| {
        let sum = b.state("sum", &[3]);
        b.output("out", sum);
    });
    let other = cpu.compile(other, &no_weights()).unwrap();
    assert!(matches!(run(&mut cpu, other, &[]), Err(Error::State { .. })));
}

#[test]
fn a_program_that_swaps_states_swaps_them() {
    let mut cpu = CpuExecutor::new(Precision::F32);
    let first = graph(|b| {
        for (name, value) in [("a", 1.0), ("b", 2.0)] {
            let value = b.fill(&[1], value);
            b.set_state(name, value);
        }
    });
    let swap = graph(|b| {
        let (x, y) = (b.state("a", &[1]), b.state("b", &[1]));
        b.set_state("a", y);
        b.set_state("b", x);
        let out = b.concat(&[x, y]).unwrap();
        b.output("out", out);
    });
    let first = cpu.compile(first, &no_weights()).unwrap();
    let swap = cpu.compile(swap, &no_weights()).unwrap();
    cpu.run(first, &[], &mut NoControl).unwrap();
    assert_eq!(run(&mut cpu, swap, &[]).unwrap(), [1.0, 2.0]);
    assert_eq!(run(&mut cpu, swap, &[]).unwrap(), [2.0, 1.0]);
}

#[test]
fn inputs_must_fit() {
    let mut cpu = CpuExecutor::new(Precision::F32);
    let [start, _] = counters(&mut cpu);
    let good = numbers(&[1.0, 2.0]);
    let short = HostTensor {
        shape: vec![2],
        data: kinora_graph::HostData::F32(vec![1.0]),
    };
    for (inputs, part) in [
        (vec![], "missing"),
        (vec![("x", &good), ("y", &good)], "no such input; it has: x"),
        (vec![("x", &good), ("x", &good)], "twice"),
        (vec![("x", &numbers(&[1.0]))], "shape is [1], [2] is needed"),
        (vec![("x", &HostTensor::u32(&[2], vec![1, 2]))], "U32, F32 is needed"),
        (vec![("x", &short)], "do not fill"),
    ] {
        let error = run(&mut cpu, start, &inputs).unwrap_err();
        assert!(matches!(error, Error::Input { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error} lacks `{part}`");
    }
}

#[test]
fn ids_out_of_range_are_refused() {
    let weights: Arc<dyn Weights> = Arc::new(RuleWeights::new([("table", vec![4, 3], 0.0, 1.0)], 1));
    let mut builder = Builder::new(&*weights);
    let ids = builder.input_u32("ids", &[2]);
    let out = builder.gather(&Scope::root(), "table", ids, 4, 3).unwrap();
    builder.output("out", out);
    let mut cpu = CpuExecutor::new(Precision::F32);
    let program = cpu.compile(builder.finish(), &weights).unwrap();
    let mut gather = |ids: [u32; 2]| run(&mut cpu, program, &[("ids", &HostTensor::u32(&[2], ids.to_vec()))]);
    let table = weights.tensor("table").unwrap().to_f32().unwrap();
    assert_eq!(gather([3, 0]).unwrap(), [&table[9..], &table[..3]].concat());
    let error = gather([1, 4]).unwrap_err();
    assert_eq!(error.to_string(), "input `ids`: id 4 is asked for; `table` has 4 rows");
}

#[test]
fn weights_must_fit() {
    let weights =
        |n: usize| -> Arc<dyn Weights> { Arc::new(RuleWeights::new([("to.weight", vec![n, 3], 0.0, 1.0)], 1)) };
    let six = weights(6);
    let mut builder = Builder::new(&*six);
    let x = builder.input("x", &[2, 3]);
    let out = builder
        .linear(&Scope::root(), "to", x, 6, Epilogue::Activation(Activation::None))
        .unwrap();
    builder.output("out", out);
    let graph = builder.finish();
    let mut cpu = CpuExecutor::new(Precision::F32);
    assert!(matches!(
        cpu.compile(graph.clone(), &weights(5)),
        Err(Error::WeightShape { .. })
    ));
    assert!(matches!(
        cpu.compile(graph.clone(), &no_weights()),
        Err(Error::Weights(_))
    ));
    cpu.compile(graph, &six).unwrap();
}

/// Stops after a number of operations.
struct Stop {
    after: usize,
    fractions: Vec<f64>,
    asked: Cell<usize>,
}

impl Control for Stop {
    fn progress(&mut self, fraction: f64) {
        self.fractions.push(fraction);
    }

    fn cancelled(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.fractions.len() >= self.after
    }
}

#[test]
fn runs_report_progress_and_stop_on_request() {
    let mut cpu = CpuExecutor::new(Precision::F32);
    let long = graph(|b| {
        let mut x = b.state("x", &[100]);
        for _ in 0..4 {
            x = b.add(x, x).unwrap();
        }
        b.set_state("x", x);
        b.output("out", x);
    });
    let long = cpu.compile(long, &no_weights()).unwrap();
    let set = graph(|b| {
        let one = b.fill(&[100], 1.0);
        b.set_state("x", one);
    });
    let set = cpu.compile(set, &no_weights()).unwrap();
    cpu.run(set, &[], &mut NoControl).unwrap();

    let mut stop = Stop {
        after: 2,
        fractions: vec![],
        asked: Cell::default(),
    };
    assert!(matches!(cpu.run(long, &[], &mut stop), Err(Error::Cancelled)));
    assert_eq!((stop.fractions.as_slice(), stop.asked.get()), (&[0.25, 0.5][..], 3));
    // The stopped run left the state alone.
    let mut stop = Stop {
        after: usize::MAX,
        ..stop
    };
    assert_eq!(
        cpu.run(long, &[], &mut stop).unwrap()["out"].as_f32().unwrap()[99],
        16.0
    );
    assert_eq!(stop.fractions.last(), Some(&1.0));
}

#[test]
fn profiles_name_every_operation() {
    let mut cpu = CpuExecutor::new(Precision::F16);
    let [start, next] = counters(&mut cpu);
    let x = numbers(&[1.0, 10.0]);
    run(&mut cpu, start, &[("x", &x)]).unwrap();
    assert!(cpu.take_profile().is_empty());
    cpu.set_profiling(true);
    run(&mut cpu, next, &[("x", &x)]).unwrap();
    let ops: Vec<_> = cpu.take_profile().iter().map(|time| time.op).collect();
    assert_eq!(ops, ["binary", "concat"]);
    assert!(cpu.take_profile().is_empty());
    assert!(
        cpu.describe().starts_with("CPU (") && cpu.describe().ends_with("rounded to f16"),
        "{}",
        cpu.describe()
    );
}

#[test]
fn requirements_count_what_is_alive() {
    let weights: Arc<dyn Weights> = Arc::new(RuleWeights::new(
        [("to.weight", vec![20, 10], 0.0, 1.0), ("to.bias", vec![20], 0.0, 1.0)],
        1,
    ));
    let mut builder = Builder::new(&*weights);
    let x = builder.input("x", &[5, 10]);
    let none = || Epilogue::Activation(Activation::None);
    let y = builder.linear(&Scope::root(), "to", x, 20, none()).unwrap();
    let z = builder.linear(&Scope::root(), "to", x, 20, none()).unwrap();
    let sum = builder.add(y, z).unwrap();
    let sum = builder.slice(sum, 1, 0..1).unwrap();
    builder.set_state("s", sum);
    let mut cpu = CpuExecutor::new(Precision::F32);
    let program = cpu.compile(builder.finish(), &weights).unwrap();
    let found = cpu.requirements(program);
    // The weight once in BF16, the bias once decoded; y, z and their sum together; one column.
    assert_eq!(
        (found.weights, found.activations, found.states),
        (2 * 200 + 4 * 20, 4 * 300, 4 * 5)
    );
    assert!(found.flops >= 2 * 2 * 5 * 20 * 10);
    cpu.release(program);
    assert_eq!(cpu.requirements(program), Default::default());
}
