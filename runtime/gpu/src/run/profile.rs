//! Device time of each operation.

use std::ops::Range;
use std::time::Duration;

use kinora_graph::{OpTime, Result};

use crate::device::{Allocation, Device};
use crate::plan::Plan;

/// Most dispatches that one set of queries can time.
pub(super) const MOST: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// Timestamps of the dispatches of one submission.
struct Stamps {
    dispatches: Range<usize>,
    queries: wgpu::QuerySet,
    resolved: Allocation,
    readable: Allocation,
}

/// Collects the times of a run.
#[derive(Default)]
pub(super) struct Profile {
    stamps: Vec<Stamps>,
    submissions: Vec<Range<usize>>,
}

impl Profile {
    /// The next submission has these dispatches.
    pub(super) fn begin(&mut self, device: &Device, dispatches: Range<usize>) -> Result<()> {
        self.submissions.push(dispatches.clone());
        if !device.has_timestamps() || dispatches.is_empty() {
            return Ok(());
        }
        let count = 2 * dispatches.len() as u32;
        let size = 8 * u64::from(count);
        let resolve = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let read = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        self.stamps.push(Stamps {
            dispatches,
            queries: device.raw().create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
            resolved: device.buffer("timestamps", size, resolve)?,
            readable: device.buffer("timestamps", size, read)?,
        });
        Ok(())
    }

    /// A pass that times the dispatch `index` of the current submission, where the device can.
    pub(super) fn pass<'e>(&self, encoder: &'e mut wgpu::CommandEncoder, index: usize) -> wgpu::ComputePass<'e> {
        let stamps = self.stamps.last().filter(|s| s.dispatches.contains(&index));
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: stamps.map(|s| {
                let first = 2 * (index - s.dispatches.start) as u32;
                wgpu::ComputePassTimestampWrites {
                    query_set: &s.queries,
                    beginning_of_pass_write_index: Some(first),
                    end_of_pass_write_index: Some(first + 1),
                }
            }),
        })
    }

    /// The current submission is complete.
    pub(super) fn end(&self, encoder: &mut wgpu::CommandEncoder) {
        if let Some(stamps) = self.stamps.last() {
            let count = 2 * stamps.dispatches.len() as u32;
            encoder.resolve_query_set(&stamps.queries, 0..count, &stamps.resolved, 0);
            let size = stamps.resolved.size();
            encoder.copy_buffer_to_buffer(&stamps.resolved, 0, &stamps.readable, 0, size);
        }
    }

    /// One entry for each operation. `times` are the wall times of the submissions; they are shared out by the
    /// estimates where the device has no clock.
    pub(super) fn finish(self, device: &Device, plan: &Plan, times: &[Duration]) -> Result<Vec<OpTime>> {
        let mut ops: Vec<_> = plan
            .ops
            .iter()
            .map(|op| OpTime {
                op: op.op,
                label: op.label.clone(),
                time: Duration::ZERO,
                cost: op.cost,
            })
            .collect();
        let period = f64::from(device.queue().get_timestamp_period()) * 1e-9;
        for stamps in &self.stamps {
            let size = 16 * stamps.dispatches.len() as u64;
            let ticks = device.read(&stamps.readable, size, |bytes| {
                bytemuck::pod_collect_to_vec::<u8, u64>(bytes)
            })?;
            for (dispatch, pair) in stamps.dispatches.clone().zip(ticks.chunks_exact(2)) {
                let seconds = pair[1].saturating_sub(pair[0]) as f64 * period;
                ops[plan.dispatches[dispatch].op].time += Duration::from_secs_f64(seconds);
            }
        }
        if self.stamps.is_empty() {
            for (range, time) in self.submissions.iter().zip(times) {
                let dispatches = &plan.dispatches[range.clone()];
                let total: f64 = dispatches.iter().map(|d| d.seconds).sum();
                for dispatch in dispatches {
                    let share = if total > 0.0 { dispatch.seconds / total } else { 0.0 };
                    ops[dispatch.op].time += time.mul_f64(share);
                }
            }
        }
        Ok(ops)
    }
}
