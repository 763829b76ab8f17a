//! How fast a device really is: two operations and an upload, timed.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinora_graph::{Activation, Builder, Epilogue, Executor, HostTensor, NoControl, Result, Scope};
use kinora_quant::{Tensor, Weights};

use super::GpuExecutor;
use crate::device::{Device, STAGE};
use crate::plan::Speed;

/// Rates of a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    /// Of kernels: a product of matrices, a sum of two large values.
    pub(super) speed: Speed,
    /// Bytes per second from the host's memory to the device's.
    pub(super) upload: f64,
}

/// Rows, and columns of a square weight: about a billion operations.
const ROWS: usize = 512;
const WIDTH: usize = 1024;

impl Rates {
    /// Measures `device` for a few tenths of a second at most where it is fast, about one where it is slow.
    pub(super) fn measure(device: &Arc<Device>, executor: &GpuExecutor) -> Result<Self> {
        let options = crate::Options {
            memory: None,
            ..executor.options
        };
        let mut gpu = GpuExecutor::with_options(device.clone(), executor.capabilities, options);
        let weight = Tensor::from_f32(&[WIDTH, WIDTH], &vec![0.5; WIDTH * WIDTH]);
        let weights: Arc<dyn Weights> = Arc::new(BTreeMap::from([("linear.weight".to_owned(), weight)]));
        let mut b = Builder::new(&*weights);
        let x = b.input("x", &[ROWS, WIDTH]);
        let y = b.linear(
            &Scope::root(),
            "linear",
            x,
            WIDTH,
            Epilogue::Activation(Activation::None),
        )?;
        let large = b.concat(&[y, y, y, y])?;
        let sum = b.add(large, large)?;
        let shifted = b.add(sum, large)?;
        let last = b.slice(shifted, 0, 0..1)?;
        b.output("last", last);
        let program = gpu.compile(b.finish(), &weights)?;
        let x = HostTensor::f32(&[ROWS, WIDTH], vec![1.0; ROWS * WIDTH]);
        // The first run compiles, uploads and warms up.
        gpu.run(program, &[("x", &x)], &mut NoControl)?;
        gpu.set_profiling(true);
        gpu.run(program, &[("x", &x)], &mut NoControl)?;
        let mut speed = executor.capabilities.speed;
        for op in gpu.take_profile() {
            let seconds = op.time.as_secs_f64().max(1e-6);
            match op.op {
                "linear" => speed.flops = op.cost.flops as f64 / seconds,
                "binary" => speed.bytes = op.cost.bytes as f64 / seconds,
                _ => {}
            }
        }
        Ok(Self {
            speed,
            upload: upload(device)?,
        })
    }
}

fn upload(device: &Device) -> Result<f64> {
    let bytes = vec![1; STAGE as usize];
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        best = best.min(device.time_upload(&bytes)?);
    }
    Ok(STAGE as f64 / best)
}
