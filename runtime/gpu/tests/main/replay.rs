//! What a step costs the processor after the first one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use kinora_graph::{Builder, Executor, Graph, HostTensor, NoControl, Precision};
use kinora_runtime::{Device, GpuExecutor};

use crate::zoo::{self, Tensors};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does the work; a counter without a destructor allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sums one after the other, of two values in turn.
fn chain(dispatches: usize) -> Graph {
    let weights = Tensors::new(0).finish();
    let mut b = Builder::new(&weights);
    let mut x = b.input("x", &[64]);
    let one = b.constant(&[64], &[1.0; 64]);
    for _ in 0..dispatches {
        x = b.add(x, one).unwrap();
    }
    b.output("out", x);
    b.finish()
}

/// Allocations of this thread during `work`.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Those of a later step of a chain.
fn of_a_step(gpu: &mut GpuExecutor, dispatches: usize) -> u64 {
    let weights = Tensors::new(0).finish();
    let program = gpu.compile(chain(dispatches), &weights).unwrap();
    assert_eq!(gpu.plan(program).unwrap().dispatches.len(), dispatches);
    let x = HostTensor::f32(&[64], vec![0.0; 64]);
    let mut step = || {
        gpu.run(program, &[("x", &x)], &mut NoControl).unwrap();
    };
    step();
    step();
    allocations(step)
}

/// wgpu itself allocates while it records, which is not ours to change: the same commands without a program say how
/// much.
#[test]
fn a_later_step_allocates_nothing_for_its_dispatches() {
    let Some(device) = crate::device() else { return };
    let mut gpu = GpuExecutor::new(device.clone(), Precision::F32);
    let call = kinora_shaders::binary::cases()[0].call(1);
    let probe = device
        .probe(&call.shader, &call.params, call.workgroups, &call.operands)
        .unwrap();
    let bare = |dispatches| {
        let run = || {
            probe.run(dispatches).unwrap();
        };
        run();
        allocations(run)
    };
    let steps = [100, 1000].map(|dispatches| of_a_step(&mut gpu, dispatches));
    let commands = [100, 1000].map(bare);
    println!("allocations of 100 and 1000 dispatches: {steps:?} in a step, {commands:?} bare");
    let [step, bare] = [steps, commands].map(|[few, many]| many.saturating_sub(few));
    // Growing lists grow by doubling.
    assert!(step <= bare + 20, "{steps:?} in a step, {commands:?} bare");
}

/// A device of its own: what others create must not be counted.
#[test]
fn a_later_step_creates_nothing() {
    if crate::device().is_none() {
        return;
    }
    let device = Device::open(None).unwrap();
    for specimen in [zoo::transformer(2), zoo::autoencoder(3, false), zoo::quantized(2)] {
        let mut gpu = GpuExecutor::new(device.clone(), Precision::F16);
        let program = gpu.compile(specimen.graph.clone(), &specimen.weights).unwrap();
        gpu.run(program, &specimen.inputs(), &mut NoControl).unwrap();
        let created = device.creations();
        assert!(created.buffers > 0 && created.bind_groups > 0 && created.pipelines > 0);
        for _ in 0..2 {
            gpu.run(program, &specimen.inputs(), &mut NoControl).unwrap();
        }
        assert_eq!(device.creations(), created);
        assert!(!gpu.take_host_time().is_zero());
    }
}
