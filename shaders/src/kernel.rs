//! What every kernel says of itself.

use crate::Features;

/// How a binding is used. The order of a shader's bindings is the order of their binding numbers in group 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindingKind {
    /// `var<uniform>`: the parameters, bound with a dynamic offset. Always binding 0.
    Uniform,
    /// `var<storage, read>`: weight matrices, which live in buffers of their own.
    Weights,
    /// `var<storage, read_write>`: anything in the arena, inputs included (usage is tracked per buffer,
    /// so that slices of one buffer cannot be bound read-only here and writable there).
    Arena,
}

/// One binding of a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Name of the global in the WGSL source.
    pub name: &'static str,
    /// Kind.
    pub kind: BindingKind,
}

/// A shader ready to be compiled.
#[derive(Clone, Debug)]
pub struct Shader {
    /// Unique name of the variant, e.g. `linear.bf16.f16.gelu_tanh.square`.
    pub name: String,
    /// Complete WGSL; the entry point is `main`.
    pub source: String,
    /// Bindings of group 0, binding number = index.
    pub bindings: &'static [Binding],
    /// Invocations per workgroup.
    pub workgroup_size: [u32; 3],
    /// What it needs beyond core WebGPU.
    pub needs: Features,
}

/// A variant of a kernel: a small value that decides the text. Shapes are never part of it; they
/// travel in [`Kernel::Params`], so that a new size needs no new pipeline.
pub trait Kernel: Copy + Eq + std::hash::Hash + std::fmt::Debug {
    /// Uniform parameters: a multiple of 16 bytes.
    type Params: bytemuck::Pod;

    /// All variants that any device may run (tests validate and translate each).
    fn all() -> Vec<Self>;

    /// Text and signature.
    fn shader(&self) -> Shader;

    /// Workgroups for these parameters, each at most 65,535.
    fn workgroups(&self, params: &Self::Params) -> [u32; 3];
}

/// Workgroups along x of the grid of a flat kernel; a second dimension takes what is more.
pub const GRID_WIDTH: u32 = 32_768;

/// The grid of `groups` workgroups of a flat kernel: at most 32,768 · 65,535.
pub fn flat_grid(groups: u32) -> [u32; 3] {
    [groups.min(GRID_WIDTH), groups.div_ceil(GRID_WIDTH), 1]
}

/// An arena binding.
pub(crate) const fn arena(name: &'static str) -> Binding {
    Binding {
        name,
        kind: BindingKind::Arena,
    }
}

/// Binding 0.
pub(crate) const PARAMS: Binding = Binding {
    name: "params",
    kind: BindingKind::Uniform,
};

/// Binding 1 of kernels with weights.
pub(crate) const WEIGHT: Binding = Binding {
    name: "weight",
    kind: BindingKind::Weights,
};
