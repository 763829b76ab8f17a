//! Shaders compiled once per device, by their names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use kinora_graph::Result;
use kinora_shaders::kernel::{BindingKind, Shader};

use super::Device;
use super::creations::count;

/// A compiled shader and the layout of its bindings.
pub(crate) struct Pipeline {
    pub(crate) raw: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

/// All that this device has compiled.
#[derive(Default)]
pub(super) struct Pipelines {
    by_name: HashMap<String, Arc<Pipeline>>,
    // Kernels with the same kinds of bindings share a layout.
    layouts: HashMap<Vec<BindingKind>, (wgpu::BindGroupLayout, wgpu::PipelineLayout)>,
}

impl Pipelines {
    pub(super) fn get(&mut self, device: &Device, shader: &Shader) -> Result<Arc<Pipeline>> {
        if let Some(pipeline) = self.by_name.get(&shader.name) {
            return Ok(pipeline.clone());
        }
        let source = match shader.reshaped() {
            None => wgpu::ShaderSource::Wgsl(shader.source.as_str().into()),
            Some(_) => wgpu::ShaderSource::Naga(Cow::Owned(shader.module().map_err(|e| device.fault(e))?)),
        };
        count(&device.creations.pipelines);
        let kinds: Vec<_> = shader.bindings.iter().map(|b| b.kind).collect();
        let raw = device.raw();
        let scope = raw.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = raw.push_error_scope(wgpu::ErrorFilter::Internal);
        let (layout, pipeline_layout) = self
            .layouts
            .entry(kinds)
            .or_insert_with_key(|kinds| layouts(raw, kinds))
            .clone();
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(&shader.name),
            source,
        };
        // SAFETY: checks are left out only where `guards` says why they are not needed. Loops of all kernels end, and no
        // index into workgroup memory or a local array comes from a buffer.
        let module = unsafe { raw.create_shader_module_trusted(descriptor, device.checks) };
        let compiled = raw.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&shader.name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Kernels write workgroup memory before they read it.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        let errors = [pollster::block_on(internal.pop()), pollster::block_on(scope.pop())];
        if let Some(error) = errors.into_iter().flatten().next() {
            return Err(device.fault(format!("kernel {} does not compile: {error}", shader.name)));
        }
        device.check()?;
        let pipeline = Arc::new(Pipeline { raw: compiled, layout });
        self.by_name.insert(shader.name.clone(), pipeline.clone());
        Ok(pipeline)
    }
}

fn layouts(device: &wgpu::Device, kinds: &[BindingKind]) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
    let entries: Vec<_> = kinds
        .iter()
        .enumerate()
        .map(|(binding, kind)| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match kind {
                    BindingKind::Uniform => wgpu::BufferBindingType::Uniform,
                    BindingKind::Weights => wgpu::BufferBindingType::Storage { read_only: true },
                    BindingKind::Arena => wgpu::BufferBindingType::Storage { read_only: false },
                },
                has_dynamic_offset: *kind == BindingKind::Uniform,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &entries,
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    (layout, pipeline_layout)
}
