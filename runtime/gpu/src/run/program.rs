//! All that is made once for a graph: kernels, weights, parameters, bind groups.

use std::collections::HashMap;
use std::sync::Arc;

use kinora_graph::{Graph, HostTensor, Result};
use kinora_quant::Weights;
use kinora_shaders::kernel::BindingKind;

use super::memory::Memory;
use super::weights::{Held, Piece, Store, pieces, upload_fixed};
use crate::device::{Allocation, Device, Pipeline};
use crate::plan::{Buffer, Place, Plan, Region, Residency};

/// A compiled graph.
pub(super) struct Program {
    pub(super) plan: Plan,
    pub(super) residency: Residency,
    pub(super) source: Arc<dyn Weights>,
    pipelines: Vec<Arc<Pipeline>>,
    uniforms: Allocation,
    fixed: Allocation,
    // `None` for those that pass through the ring.
    weights: Vec<Option<Arc<Held>>>,
    /// For the outputs, one after the other.
    pub(super) readback: Allocation,
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
        residency: Residency,
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
            .zip(&residency.places)
            .map(|(weight, place)| match place {
                Place::Resident => store.get(device, weights, weight).map(Some),
                Place::Ring { .. } => Ok(None),
            })
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
            source: weights.clone(),
            residency,
            plan,
        })
    }

    /// Shared buffers have been replaced.
    pub(super) fn invalidate(&mut self) {
        self.groups = None;
    }

    /// The buffer of a region, and where in it the region's first byte counts from.
    fn place<'a>(&'a self, memory: &'a Memory, buffer: Buffer) -> (&'a wgpu::Buffer, u64) {
        match buffer {
            Buffer::Arena(index) => (memory.arena(index), 0),
            Buffer::Fixed => (&self.fixed, 0),
            Buffer::State(index) => (&memory.state(&self.plan.states[index].name).buffer, 0),
            Buffer::Weight(index) => match (&self.weights[index], self.residency.places[index]) {
                (Some(held), _) => (&held.buffer, 0),
                (None, Place::Ring { buffer, offset }) => (memory.ring(buffer), offset),
                (None, Place::Resident) => unreachable!("resident weights are held"),
            },
        }
    }

    /// The buffer of a region that is no weight.
    pub(super) fn buffer<'a>(&'a self, memory: &'a Memory, buffer: Buffer) -> &'a wgpu::Buffer {
        self.place(memory, buffer).0
    }

    /// Where a piece goes.
    pub(super) fn target<'a>(&'a self, memory: &'a Memory, piece: &Piece) -> (&'a wgpu::Buffer, u64) {
        let (buffer, base) = self.place(memory, Buffer::Weight(piece.weight));
        (buffer, base + piece.offset)
    }

    /// Notes that all pieces of a weight have been copied.
    pub(super) fn loaded(&self, weight: usize) {
        if let Some(held) = &self.weights[weight] {
            held.set_loaded();
        }
    }

    /// What the next run uploads, in the order of use: weights that have never been, and those that pass through the
    /// ring.
    pub(super) fn pieces(&self) -> Result<Vec<Piece>> {
        if self.weights.iter().flatten().all(|held| held.is_loaded()) && self.residency.uploads.is_empty() {
            return Ok(Vec::new());
        }
        let uses = self.plan.weight_uses();
        let unloaded = self.weights.iter().enumerate().filter_map(|(index, held)| {
            let missing = held.as_ref().is_some_and(|held| !held.is_loaded());
            missing.then_some((index, 0..uses[index].start))
        });
        let streamed = self.residency.uploads.iter().map(|u| (u.weight, u.window.clone()));
        let mut order: Vec<_> = unloaded.chain(streamed).collect();
        order.sort_by_key(|(weight, window)| (window.end, *weight));
        let mut out = Vec::new();
        for (weight, window) in order {
            out.extend(pieces(&self.plan, weight, &window)?);
        }
        Ok(out)
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
        let part = |buffer, offset, size| wgpu::BufferBinding {
            buffer,
            offset,
            size: std::num::NonZeroU64::new(size),
        };
        let mut parts = vec![part(&self.uniforms, 0, params as u64)];
        parts.extend(regions.iter().map(|region| {
            let (buffer, base) = self.place(memory, region.buffer);
            part(buffer, base + region.offset, region.size)
        }));
        device.bind_group(&self.pipelines[shader], &parts)
    }

    /// Brings those of the inputs that are given.
    pub(super) fn bring(&self, device: &Device, memory: &Memory, inputs: &[(&str, &HostTensor)]) -> Result<()> {
        for port in &self.plan.inputs {
            if let Some((_, tensor)) = inputs.iter().find(|(name, _)| *name == port.name) {
                let buffer = self.buffer(memory, port.region.buffer);
                device.upload(buffer, port.region.offset, tensor.bytes())?;
            }
        }
        Ok(())
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
