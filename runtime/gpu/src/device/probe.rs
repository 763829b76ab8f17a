//! Single dispatches, for tests and benchmarks of kernels.

use kinora_graph::Result;
use kinora_shaders::{BindingKind, Shader};

use super::Device;

impl Device {
    /// Runs `shader` once on buffers with these contents (bindings 1, 2, …; each a multiple of four bytes) and
    /// returns what the operand `out` holds afterwards.
    ///
    /// # Errors
    /// As those of an executor.
    pub fn probe(
        &self,
        shader: &Shader,
        params: &[u8],
        workgroups: [u32; 3],
        operands: &[Vec<u8>],
        out: usize,
    ) -> Result<Vec<u8>> {
        let pipeline = self.pipeline(shader)?;
        let mut buffers = Vec::new();
        for (binding, bytes) in std::iter::once(params)
            .chain(operands.iter().map(Vec::as_slice))
            .enumerate()
        {
            let kind = match shader.bindings[binding].kind {
                BindingKind::Uniform => wgpu::BufferUsages::UNIFORM,
                BindingKind::Weights | BindingKind::Arena => wgpu::BufferUsages::STORAGE,
            };
            let usage = kind | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
            let buffer = self.buffer("an operand", bytes.len() as u64, usage)?;
            self.upload(&buffer, 0, bytes)?;
            buffers.push(buffer);
        }
        let entries: Vec<_> = buffers
            .iter()
            .enumerate()
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding: binding as u32,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let group = self.raw.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.layout,
            entries: &entries,
        });
        let size = operands[out].len() as u64;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readable = self.buffer("a result", size, usage)?;
        let mut encoder = self.raw.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline.raw);
        pass.set_bind_group(0, &group, &[0]);
        let [x, y, z] = workgroups;
        pass.dispatch_workgroups(x, y, z);
        drop(pass);
        encoder.copy_buffer_to_buffer(&buffers[out + 1], 0, &readable, 0, size);
        let submitted = self.queue.submit([encoder.finish()]);
        self.wait(Some(submitted))?;
        self.read(&readable, size, <[u8]>::to_vec)
    }
}
