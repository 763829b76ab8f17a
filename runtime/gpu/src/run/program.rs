//! All that is made once for a graph: kernels, weights, parameters, bind groups.

use std::collections::HashMap;
use std::sync::Arc;

use kinora_graph::{Graph, Result};
use kinora_quant::Weights;
use kinora_shaders::kernel::BindingKind;

use super::memory::Memory;
use super::weights::{Held, Store, upload_fixed};
use crate::device::{Device, Pipeline};
use crate::plan::{Buffer, Plan, Region};

/// A compiled graph.
pub(super) struct Program {
    pub(super) plan: Plan,
    pipelines: Vec<Arc<Pipeline>>,
    uniforms: wgpu::Buffer,
    fixed: wgpu::Buffer,
    weights: Vec<Arc<Held>>,
    /// For the outputs, one after the other.
    pub(super) readback: wgpu::Buffer,
    // None while buffers that programs share have been replaced.
    groups: Option<Groups>,
}

/// Bind groups, and which one each dispatch uses.
struct Groups {
    groups: Vec<wgpu::BindGroup>,
    of: Vec<usize>,
}

impl Program {
    pub(super) fn new(
        device: &Device,
        store: &mut Store,
        plan: Plan,
        graph: &Graph,
        weights: &Arc<dyn Weights>,
    ) -> Result<Self> {
        let pipelines = plan
            .shaders
            .iter()
            .map(|shader| device.pipeline(shader))
            .collect::<Result<_>>()?;
        let fixed = upload_fixed(device, &plan, graph, weights.as_ref())?;
        let held = plan
            .weights
            .iter()
            .map(|weight| store.get(device, weights, weight))
            .collect::<Result<_>>()?;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = device.buffer("parameters of kernels", plan.uniforms.len() as u64, usage)?;
        let mut bytes = plan.uniforms.clone();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        device.upload(&uniforms, 0, &bytes)?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let outputs = plan.outputs.iter().map(|port| port.region.size).sum();
        Ok(Self {
            readback: device.buffer("outputs", outputs, usage)?,
            pipelines,
            uniforms,
            fixed,
            weights: held,
            groups: None,
            plan,
        })
    }

    /// Shared buffers have been replaced.
    pub(super) fn invalidate(&mut self) {
        self.groups = None;
    }

    /// The buffer of a region.
    pub(super) fn buffer<'a>(&'a self, memory: &'a Memory, buffer: Buffer) -> &'a wgpu::Buffer {
        match buffer {
            Buffer::Arena(index) => memory.arena(index),
            Buffer::Fixed => &self.fixed,
            Buffer::State(index) => &memory.state(&self.plan.states[index].name).buffer,
            Buffer::Weight(index) => &self.weights[index].buffer,
        }
    }

    /// Makes the bind groups, where they are not there.
    pub(super) fn bind(&mut self, device: &Device, memory: &Memory) -> Result<()> {
        if self.groups.is_some() {
            return Ok(());
        }
        type Key<'a> = (Vec<BindingKind>, usize, &'a [Region]);
        let mut known: HashMap<Key<'_>, usize> = HashMap::new();
        let (mut groups, mut of) = (Vec::new(), Vec::new());
        for dispatch in &self.plan.dispatches {
            let shader = &self.plan.shaders[dispatch.shader];
            let kinds = shader.bindings.iter().map(|b| b.kind).collect();
            let key = (kinds, dispatch.params.len(), dispatch.bindings.as_slice());
            let index = *known.entry(key).or_insert_with(|| {
                groups.push(self.group(
                    device,
                    memory,
                    dispatch.shader,
                    dispatch.params.len(),
                    &dispatch.bindings,
                ));
                groups.len() - 1
            });
            of.push(index);
        }
        self.groups = Some(Groups { groups, of });
        device.check()
    }

    fn group(
        &self,
        device: &Device,
        memory: &Memory,
        shader: usize,
        params: usize,
        regions: &[Region],
    ) -> wgpu::BindGroup {
        let part = |buffer, offset, size| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset,
                size: std::num::NonZeroU64::new(size),
            })
        };
        let mut entries = vec![wgpu::BindGroupEntry {
            binding: 0,
            resource: part(&self.uniforms, 0, params as u64),
        }];
        for (index, region) in regions.iter().enumerate() {
            entries.push(wgpu::BindGroupEntry {
                binding: index as u32 + 1,
                resource: part(self.buffer(memory, region.buffer), region.offset, region.size),
            });
        }
        device.raw().create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.pipelines[shader].layout,
            entries: &entries,
        })
    }

    /// Encodes one dispatch. [`Self::bind`] comes before.
    pub(super) fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, index: usize) {
        let dispatch = &self.plan.dispatches[index];
        let groups = self.groups.as_ref().expect("bound before it runs");
        pass.set_pipeline(&self.pipelines[dispatch.shader].raw);
        let offset = dispatch.params.start as u32;
        pass.set_bind_group(0, &groups.groups[groups.of[index]], &[offset]);
        let [x, y, z] = dispatch.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
}
