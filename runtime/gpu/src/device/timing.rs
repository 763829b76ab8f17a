//! How long the device takes.

use std::time::Instant;

use kinora_graph::Result;

use super::{Allocation, Device};

/// What work on a device took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    /// Seconds that the device worked: by its own clock where it has one ([`super::AdapterDescription::timestamps`]),
    /// else from submission to completion.
    pub device: f64,
    /// Seconds that the processor took to encode and submit.
    pub host: f64,
    /// Dispatches.
    pub dispatches: usize,
}

impl std::ops::AddAssign for Timing {
    fn add_assign(&mut self, other: Self) {
        self.device += other.device;
        self.host += other.host;
        self.dispatches += other.dispatches;
    }
}

/// Two timestamps around a pass.
struct Stamps {
    queries: wgpu::QuerySet,
    resolved: Allocation,
    readable: Allocation,
}

/// Bytes of two timestamps.
const SIZE: u64 = 16;

impl Stamps {
    fn new(device: &Device) -> Result<Self> {
        let resolve = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let read = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Ok(Self {
            queries: device.raw.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: device.buffer("timestamps", SIZE, resolve)?,
            readable: device.buffer("timestamps", SIZE, read)?,
        })
    }

    fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }
    }

    fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.readable, 0, SIZE);
    }

    fn seconds(&self, device: &Device) -> Result<f64> {
        let ticks = device.read(&self.readable, SIZE, |bytes| {
            bytemuck::pod_collect_to_vec::<u8, u64>(bytes)
        })?;
        let period = f64::from(device.queue.get_timestamp_period()) * 1e-9;
        Ok(ticks[1].saturating_sub(ticks[0]) as f64 * period)
    }
}

impl Device {
    /// Submits one pass that `encode` fills with `dispatches` dispatches, and waits for it.
    pub(crate) fn time_pass(
        &self,
        dispatches: usize,
        encode: impl FnOnce(&mut wgpu::ComputePass<'_>),
    ) -> Result<Timing> {
        let stamps = self.has_timestamps().then(|| Stamps::new(self)).transpose()?;
        let start = Instant::now();
        let mut encoder = self.raw.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: stamps.as_ref().map(Stamps::writes),
        });
        encode(&mut pass);
        drop(pass);
        if let Some(stamps) = &stamps {
            stamps.resolve(&mut encoder);
        }
        let submitted = self.queue.submit([encoder.finish()]);
        let encoded = Instant::now();
        self.wait(Some(submitted))?;
        let elapsed = encoded.elapsed().as_secs_f64();
        Ok(Timing {
            device: stamps.map_or(Ok(elapsed), |stamps| stamps.seconds(self))?,
            host: (encoded - start).as_secs_f64(),
            dispatches,
        })
    }

    /// Seconds from the first of `bytes` in the host's memory to the last one in the device's, by the way that weights
    /// take. The first call also makes the staging memory.
    ///
    /// # Errors
    /// As those of an executor.
    pub fn time_upload(&self, bytes: &[u8]) -> Result<f64> {
        let target = self.buffer("a measurement", bytes.len() as u64, wgpu::BufferUsages::COPY_DST)?;
        let start = Instant::now();
        self.upload(&target, 0, bytes)?;
        self.wait(None)?;
        Ok(start.elapsed().as_secs_f64())
    }
}
