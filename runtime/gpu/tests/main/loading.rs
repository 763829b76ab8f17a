//! How fast weights reach the device.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use kinora_graph::{Builder, Executor, HostTensor, NoControl, Scope};
use kinora_quant::{DType, Tensor, Weights, file};
use kinora_runtime::{Device, GpuExecutor, Options};

const TENSORS: usize = 16;
const ROWS: usize = 8 << 10;
const COLUMNS: usize = 2048;
const BYTES: usize = TENSORS * ROWS * COLUMNS * 2;

/// A file that the system has just written, and so has in memory.
fn cached_file(folder: &tempfile::TempDir) -> Arc<dyn Weights> {
    let path = folder.path().join("w.safetensors");
    let tensors: BTreeMap<_, _> = (0..TENSORS)
        .map(|i| {
            let data = vec![i as u8; ROWS * COLUMNS * 2];
            (name(i), Tensor::new(DType::BF16, &[ROWS, COLUMNS], data).unwrap())
        })
        .collect();
    file::save(&path, &tensors, &BTreeMap::new()).unwrap();
    file::open(&path).unwrap().into()
}

fn name(i: usize) -> String {
    format!("w{i}")
}

/// Seconds of copying all tensors to `target`.
fn copy(weights: &dyn Weights, target: &mut [Vec<u8>]) -> f64 {
    let start = Instant::now();
    for (i, target) in target.iter_mut().enumerate() {
        target.clear();
        target.extend_from_slice(&weights.tensor(&name(i)).unwrap().data);
    }
    start.elapsed().as_secs_f64()
}

/// Seconds of loading all tensors within `memory`, and of all bytes of a later run at the rate of those that stream. A
/// row of each tensor is read, so that nothing but the way of the weights takes time.
fn load(device: &Arc<Device>, weights: &Arc<dyn Weights>, memory: Option<u64>) -> (f64, f64) {
    let options = Options {
        memory,
        ..Options::default()
    };
    let mut gpu = GpuExecutor::with_options(device.clone(), device.capabilities(), options);
    let mut b = Builder::new(weights);
    let row = b.input_u32("row", &[1]);
    for i in 0..TENSORS {
        let y = b.gather(&Scope::root(), &name(i), row, ROWS, COLUMNS).unwrap();
        b.output(&name(i), y);
    }
    let graph = b.finish();
    let streamed = gpu.forecast(&graph).unwrap().streamed;
    let program = gpu.compile(graph, weights).unwrap();
    let input = HostTensor::u32(&[1], vec![7]);
    let mut run = || {
        let start = Instant::now();
        gpu.run(program, &[("row", &input)], &mut NoControl).unwrap();
        start.elapsed().as_secs_f64()
    };
    (run(), run() * BYTES as f64 / streamed as f64)
}

/// Loading into new memory of the device beside copying into new memory of the host, and streaming through a ring
/// beside copying into memory that was used before.
#[test]
#[ignore = "a measurement: run it with `--ignored --nocapture`"]
fn rate_of_loading() {
    let Some(device) = crate::device() else { return };
    let folder = tempfile::tempdir().unwrap();
    let weights = cached_file(&folder);
    let [mut new_copy, mut loaded, mut used_copy, mut streamed] = [f64::INFINITY; 4];
    for _ in 0..5 {
        let mut target = vec![Vec::new(); TENSORS];
        new_copy = new_copy.min(copy(&weights, &mut target));
        used_copy = used_copy.min(copy(&weights, &mut target));
        drop(target);
        loaded = loaded.min(load(&device, &weights, None).0);
        streamed = streamed.min(load(&device, &weights, Some(BYTES as u64 / 2)).1);
    }
    let rate = |seconds: f64| BYTES as f64 * 1e-9 / seconds;
    for (what, copied, fed) in [("loading", new_copy, loaded), ("streaming", used_copy, streamed)] {
        println!(
            "{what} {:.2} GB/s, copying {:.2} GB/s: {:.2} of it",
            rate(fed),
            rate(copied),
            copied / fed
        );
    }
}
