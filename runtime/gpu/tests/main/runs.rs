//! States, cancelling, profiles, wrong inputs, shared weights.

use std::cell::Cell;

use kinora_cpu::CpuExecutor;
use kinora_graph::{Activation, Builder, Control, Epilogue, Error, Executor, HostTensor, NoControl, Precision, Scope};
use kinora_runtime::{Device, GpuExecutor, Options, Speed};

use crate::graphs::error;
use crate::zoo::{self, Tensors};

#[test]
fn states_pass_from_program_to_program() {
    let Some(device) = crate::device() else { return };
    let (first, later) = (zoo::autoencoder(4, false), zoo::autoencoder(4, true));
    let mut gpu = GpuExecutor::new(device, Precision::F32);
    let mut cpu = CpuExecutor::new(Precision::F32);
    let executors: [&mut dyn Executor; 2] = [&mut cpu, &mut gpu];
    let [expected, found] = executors.map(|e| {
        // The same weights object twice: uploaded once.
        let a = e.compile(first.graph.clone(), &first.weights).unwrap();
        let b = e.compile(later.graph.clone(), &first.weights).unwrap();
        let early = e.run(b, &later.inputs(), &mut NoControl);
        assert!(matches!(early, Err(Error::State { .. })), "{early:?}");
        e.run(a, &first.inputs(), &mut NoControl).unwrap();
        let mut outputs = vec![e.run(b, &later.inputs(), &mut NoControl).unwrap()];
        outputs.push(e.run(b, &later.inputs(), &mut NoControl).unwrap());
        e.release(a);
        outputs.push(e.run(b, &later.inputs(), &mut NoControl).unwrap());
        e.clear_states();
        assert!(e.run(b, &later.inputs(), &mut NoControl).is_err());
        outputs
    });
    for (expected, found) in expected.iter().zip(&found) {
        assert!(error(&expected["out"], &found["out"]) < 2e-5);
    }
}

#[test]
fn states_change_together_at_the_end() {
    let Some(device) = crate::device() else { return };
    let mut gpu = GpuExecutor::new(device, Precision::F32);
    let weights = Tensors::new(0).finish();
    let mut b = Builder::new(&weights);
    let (x, y) = (b.input("x", &[3]), b.input("y", &[3]));
    b.set_state("a", x);
    b.set_state("b", y);
    let set = gpu.compile(b.finish(), &weights).unwrap();
    let mut b = Builder::new(&weights);
    let (x, y) = (b.state("a", &[3]), b.state("b", &[3]));
    b.output("a", x);
    b.output("b", y);
    b.set_state("a", y);
    b.set_state("b", x);
    let swap = gpu.compile(b.finish(), &weights).unwrap();
    // A larger state under an old name.
    let mut b = Builder::new(&weights);
    let x = b.state("a", &[3]);
    let longer = b.concat(&[x, x]).unwrap();
    b.set_state("a", longer);
    let grow = gpu.compile(b.finish(), &weights).unwrap();

    let (one, two) = (
        HostTensor::f32(&[3], vec![1.0, 2.0, 3.0]),
        HostTensor::f32(&[3], vec![4.0, 5.0, 6.0]),
    );
    gpu.run(set, &[("x", &one), ("y", &two)], &mut NoControl).unwrap();
    for (a, b) in [(&one, &two), (&two, &one), (&one, &two)] {
        let out = gpu.run(swap, &[], &mut NoControl).unwrap();
        assert_eq!((&out["a"], &out["b"]), (a, b));
    }
    gpu.run(grow, &[], &mut NoControl).unwrap();
    let wrong = gpu.run(swap, &[], &mut NoControl);
    assert!(matches!(wrong, Err(Error::State { .. })), "{wrong:?}");
}

/// Stops when `left` questions have been asked.
struct Impatient {
    left: Cell<usize>,
    fractions: Vec<f64>,
}

impl Control for Impatient {
    fn progress(&mut self, fraction: f64) {
        self.fractions.push(fraction);
    }

    fn cancelled(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left == 0
    }
}

#[test]
fn a_run_can_be_watched_and_stopped_and_begun_again() {
    let Some(device) = crate::device() else { return };
    let specimen = zoo::transformer(2);
    let mut slow = device.capabilities();
    slow.speed = Speed { flops: 1e6, bytes: 1e5 };
    let mut gpu = GpuExecutor::with_options(device, slow, Options::default());
    let program = gpu.compile(specimen.graph.clone(), &specimen.weights).unwrap();
    let mut patient = Impatient {
        left: Cell::new(usize::MAX),
        fractions: Vec::new(),
    };
    let expected = gpu.run(program, &specimen.inputs(), &mut patient).unwrap();
    assert!(
        patient.fractions.len() > 2 && patient.fractions.is_sorted(),
        "{:?}",
        patient.fractions
    );
    assert_eq!(patient.fractions.last(), Some(&1.0));
    let mut impatient = Impatient {
        left: Cell::new(2),
        fractions: Vec::new(),
    };
    let stopped = gpu.run(program, &specimen.inputs(), &mut impatient);
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    assert_eq!(gpu.run(program, &specimen.inputs(), &mut NoControl).unwrap(), expected);
}

#[test]
fn a_profile_has_every_operation() {
    let Some(device) = crate::device() else { return };
    let specimen = zoo::transformer(4);
    let mut gpu = GpuExecutor::new(device, Precision::F32);
    let program = gpu.compile(specimen.graph.clone(), &specimen.weights).unwrap();
    let plain = gpu.run(program, &specimen.inputs(), &mut NoControl).unwrap();
    assert!(gpu.take_profile().is_empty());
    gpu.set_profiling(true);
    assert_eq!(gpu.run(program, &specimen.inputs(), &mut NoControl).unwrap(), plain);
    let profile = gpu.take_profile();
    let linear: Vec<_> = profile.iter().filter(|op| op.op == "linear").collect();
    assert_eq!(linear.len(), 9, "{profile:?}");
    assert!(linear.iter().all(|op| op.cost.flops > 0));
    assert!(profile.iter().any(|op| !op.time.is_zero()), "{profile:?}");
}

#[test]
fn wrong_inputs_are_refused() {
    let Some(device) = crate::device() else { return };
    let specimen = zoo::transformer(2);
    let mut gpu = GpuExecutor::new(device, Precision::F32);
    let program = gpu.compile(specimen.graph.clone(), &specimen.weights).unwrap();
    let mut refused = |inputs: &[(&str, &HostTensor)]| {
        let error = gpu.run(program, inputs, &mut NoControl).unwrap_err();
        assert!(
            matches!(error, Error::Input { .. } | Error::ElementType { .. }),
            "{error}"
        );
    };
    let good = specimen.inputs();
    refused(&good[1..]);
    let small = HostTensor::f32(&[1], vec![0.0]);
    refused(&[&good[..], &[("no such input", &small)]].concat());
    let with = |name: &str, tensor| {
        good.iter()
            .map(|(n, t)| (*n, if *n == name { tensor } else { *t }))
            .collect::<Vec<_>>()
    };
    refused(&with("x", &small));
    let rows = &specimen.inputs["rows"];
    let far = HostTensor::u32(&rows.shape, vec![3; rows.len()]);
    refused(&with("rows", &far));
    let floats = HostTensor::f32(&rows.shape, vec![0.0; rows.len()]);
    refused(&with("rows", &floats));
    gpu.release(program);
    assert!(gpu.run(program, &good, &mut NoControl).is_err());
}

#[test]
fn a_missing_device_is_explained() {
    let Err(error) = Device::open(Some("no such device")) else {
        panic!("it should not be there")
    };
    assert!(error.to_string().contains("--device cpu"), "{error}");
    let weights = Tensors::new(0).finish();
    assert!(
        Builder::new(&weights)
            .parameter(&Scope::root(), "absent", &[1])
            .is_err()
    );
}

#[test]
#[ignore = "a measurement: run it with `--ignored --nocapture`"]
fn rate_of_a_product() {
    let Some(device) = crate::device() else { return };
    let mut gpu = GpuExecutor::new(device, Precision::F32);
    let mut t = Tensors::new(0);
    t.layer("w", &[512, 512], kinora_quant::DType::BF16);
    let weights = t.finish();
    let mut b = Builder::new(&weights);
    let x = b.input("x", &[512, 512]);
    let none = Epilogue::Activation(Activation::None);
    let y = b.linear(&Scope::root(), "w", x, 512, none).unwrap();
    b.output("out", y);
    let program = gpu.compile(b.finish(), &weights).unwrap();
    let input = HostTensor::f32(&[512, 512], vec![0.5; 512 * 512]);
    gpu.set_profiling(true);
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        gpu.run(program, &[("x", &input)], &mut NoControl).unwrap();
        best = best.min(gpu.take_profile()[0].time.as_secs_f64());
    }
    println!("{:.2} GFLOP/s", 2.0 * 512f64.powi(3) * 1e-9 / best);
}

#[test]
#[ignore = "a measurement: run it with `--ignored --nocapture`"]
fn processor_time_of_a_dispatch() {
    let Some(device) = crate::device() else { return };
    let mut gpu = GpuExecutor::new(device, Precision::F32);
    let weights = Tensors::new(0).finish();
    let mut b = Builder::new(&weights);
    let mut x = b.input("x", &[64]);
    let one = b.constant(&[64], &[1.0; 64]);
    const COUNT: usize = 2000;
    for _ in 0..COUNT {
        x = b.add(x, one).unwrap();
    }
    b.output("out", x);
    let program = gpu.compile(b.finish(), &weights).unwrap();
    let input = HostTensor::f32(&[64], vec![0.0; 64]);
    for _ in 0..4 {
        let start = std::time::Instant::now();
        let out = gpu.run(program, &[("x", &input)], &mut NoControl).unwrap();
        assert_eq!(out["out"].as_f32().unwrap()[0], COUNT as f32);
        println!(
            "{:.2} µs a dispatch, device included",
            start.elapsed().as_secs_f64() * 1e6 / COUNT as f64
        );
    }
}
