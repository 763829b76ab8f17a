//! `out = epilogue(Σ parts + bias)`: what is left of a linear layer whose K was cut into parts
//! ([`Epilogue::Parts`]), `[K / part_k, M, N]`. They are added in order.

use crate::kernel::{PARAMS, arena, flat_grid};
use crate::linear::{Epilogue, Params};
use crate::text::Text;
use crate::{Binding, Kernel, Shader};

mod cases;
mod reference;
pub use cases::{Case, cases};
pub use reference::reference;

/// A variant. Its parameters are those of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddParts {
    /// Of the whole sums.
    pub epilogue: Epilogue,
}

/// All but `parts` as in [`crate::linear::BINDINGS`].
pub const BINDINGS: &[Binding] = &[
    PARAMS,
    arena("parts"),
    arena("bias"),
    arena("residual"),
    arena("table"),
    arena("rows"),
    arena("out"),
];

impl Kernel for AddParts {
    type Params = Params;

    fn all() -> Vec<Self> {
        Epilogue::ALL.map(|epilogue| Self { epilogue }).to_vec()
    }

    fn shader(&self) -> Shader {
        let text = self.epilogue.define(Text::new(include_str!("kernel.wgsl")));
        Shader {
            name: format!("add_parts.{}", self.epilogue.name()),
            needs: text.needs(),
            source: text.finish(),
            bindings: BINDINGS,
            workgroup_size: [64, 1, 1],
        }
    }

    fn workgroups(&self, params: &Params) -> [u32; 3] {
        flat_grid((params.m * params.n.div_ceil(4)).div_ceil(64))
    }
}
