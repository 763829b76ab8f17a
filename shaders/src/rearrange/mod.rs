//! Strided copy over up to eight axes, with the mean over the last ones.

use bytemuck::{Pod, Zeroable};

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::text::Text;
use crate::{Binding, Features, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::reference;

/// The only variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rearrange;

/// Most axes.
pub const MAX_AXES: usize = 8;

/// Uniform parameters; [`Params::new`] fills them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// Output elements to compute.
    pub count: u32,
    /// First output element, counted over the axes that are kept.
    pub first: u32,
    /// Added to the index of each output element: the place in a concatenation.
    pub out_offset: u32,
    /// First input element.
    pub offset: u32,
    /// Axes that are kept.
    pub kept: u32,
    /// All axes.
    pub axes: u32,
    /// Product of the averaged sizes.
    pub averaged: u32,
    /// Nothing.
    pub _pad: u32,
    /// Sizes, outermost first: kept axes, then averaged ones.
    pub sizes: [u32; MAX_AXES],
    /// Input strides.
    pub strides: [u32; MAX_AXES],
}

impl Params {
    /// All output elements of a rearrangement as `kinora_graph::Rearrange` describes it.
    pub fn new(sizes: &[usize], strides: &[usize], offset: usize, reduce: usize) -> Self {
        assert!(
            sizes.len() == strides.len() && sizes.len() <= MAX_AXES && reduce <= sizes.len(),
            "{sizes:?} {strides:?}"
        );
        let kept = sizes.len() - reduce;
        let mut params = Self {
            count: sizes[..kept].iter().product::<usize>() as u32,
            offset: offset as u32,
            kept: kept as u32,
            axes: sizes.len() as u32,
            averaged: sizes[kept..].iter().product::<usize>() as u32,
            ..Self::default()
        };
        for (axis, (size, stride)) in sizes.iter().zip(strides).enumerate() {
            params.sizes[axis] = *size as u32;
            params.strides[axis] = *stride as u32;
        }
        params
    }
}

/// See [`crate::Shader::bindings`].
pub const BINDINGS: &[Binding] = &[PARAMS, arena("x"), arena("out")];

impl Kernel for Rearrange {
    type Params = Params;

    fn all() -> Vec<Self> {
        vec![Self]
    }

    fn shader(&self) -> Shader {
        Shader {
            name: "rearrange".to_owned(),
            source: Text::new(include_str!("kernel.wgsl")).finish(),
            bindings: BINDINGS,
            workgroup_size: [256, 1, 1],
            needs: Features::default(),
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid(params.count.div_ceil(256))
    }
}
