//! Single dispatches, for tests and benchmarks of kernels.

use std::sync::Arc;

use kinora_graph::Result;
use kinora_shaders::{BindingKind, Shader};

use super::{Allocation, Device, Pipeline, Timing};

/// A dispatch with its operands on the device.
pub struct Probe<'d> {
    device: &'d Device,
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    /// By their bindings.
    buffers: Vec<Allocation>,
    workgroups: [u32; 3],
}

impl Device {
    /// `shader` on buffers with these contents (bindings 1, 2, …; each a multiple of four bytes).
    ///
    /// # Errors
    /// As those of an executor.
    pub fn probe(
        &self,
        shader: &Shader,
        params: &[u8],
        workgroups: [u32; 3],
        operands: &[Vec<u8>],
    ) -> Result<Probe<'_>> {
        let pipeline = self.pipeline(shader)?;
        let buffer = |binding: usize, bytes: &[u8]| {
            let kind = match shader.bindings[binding].kind {
                BindingKind::Uniform => wgpu::BufferUsages::UNIFORM,
                BindingKind::Weights | BindingKind::Arena => wgpu::BufferUsages::STORAGE,
            };
            let usage = kind | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
            let buffer = self.buffer("an operand", bytes.len() as u64, usage)?;
            self.upload(&buffer, 0, bytes)?;
            Ok(buffer)
        };
        let contents = std::iter::once(params).chain(operands.iter().map(Vec::as_slice));
        let buffers = contents.enumerate().map(|(binding, bytes)| buffer(binding, bytes));
        let buffers: Vec<_> = buffers.collect::<Result<_>>()?;
        let whole: Vec<_> = buffers.iter().map(|b| b.as_entire_buffer_binding()).collect();
        let group = self.bind_group(&pipeline, &whole);
        Ok(Probe {
            device: self,
            pipeline,
            group,
            buffers,
            workgroups,
        })
    }
}

impl Probe<'_> {
    /// Puts another shader with the same bindings in its place.
    ///
    /// # Errors
    /// As those of an executor.
    pub fn set(&mut self, shader: &Shader, workgroups: [u32; 3]) -> Result<()> {
        self.pipeline = self.device.pipeline(shader)?;
        self.workgroups = workgroups;
        Ok(())
    }

    /// Runs it `times` times in one pass.
    ///
    /// # Errors
    /// As those of an executor.
    pub fn run(&self, times: usize) -> Result<Timing> {
        let [x, y, z] = self.workgroups;
        self.device.time_pass(times, |pass| {
            for _ in 0..times {
                pass.set_pipeline(&self.pipeline.raw);
                pass.set_bind_group(0, &self.group, &[0]);
                pass.dispatch_workgroups(x, y, z);
            }
        })
    }

    /// What the operand `index` holds.
    ///
    /// # Errors
    /// As those of an executor.
    pub fn read(&self, index: usize) -> Result<Vec<u8>> {
        let from = &self.buffers[index + 1];
        let size = from.size();
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readable = self.device.buffer("a result", size, usage)?;
        let mut encoder = self.device.raw.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(from, 0, &readable, 0, size);
        let submitted = self.device.queue.submit([encoder.finish()]);
        self.device.wait(Some(submitted))?;
        self.device.read(&readable, size, <[u8]>::to_vec)
    }
}
