//! Linear layers that are summed in parts of K.

use kinora_graph::{Cost, Result};
use kinora_shaders::add_parts::AddParts;
use kinora_shaders::linear::{self, Arithmetic, Linear, part_of_k};

use super::super::emit::Emitter;
use super::super::view::View;

impl Emitter<'_> {
    /// Elements of K in each part of a layer of `shape` (M, N, K of the whole operation); `None` where its sums are taken
    /// whole. Integers are left alone, and so are processors, which have no idle units to fill.
    pub(super) fn part_of_k(&self, arithmetic: Arithmetic, shape: [usize; 3]) -> Option<u32> {
        let [m, n, k] = shape.map(|size| size as u32);
        match self.capabilities.software || arithmetic == Arithmetic::Int8 {
            true => None,
            false => part_of_k(m, n, k),
        }
    }

    /// A linear layer, or some rows and columns of it; in parts of `part_k` elements of K, where that is given.
    pub(super) fn emit_linear(
        &mut self,
        kernel: Linear,
        params: linear::Params,
        part_k: Option<u32>,
        views: [View; 7],
        cost: Cost,
    ) -> Result<()> {
        let Some(part_k) = part_k else {
            return self.emit(kernel, params, &views, cost);
        };
        let [weight, x, bias, residual, table, rows, out] = views;
        let params = linear::Params { part_k, ..params };
        let elements = params.m as usize * params.n as usize;
        let parts = (params.k / part_k) as usize;
        let sums = self.temp(parts * elements);
        let product = Linear {
            epilogue: linear::Epilogue::Parts,
            ..kernel
        };
        self.emit(product, params, &[weight, x, x, x, x, x, sums], cost)?;
        let add = AddParts {
            epilogue: kernel.epilogue,
        };
        let cost = Cost {
            flops: (parts * elements) as u64,
            bytes: 4 * ((parts + 1) * elements) as u64,
        };
        self.emit(add, params, &[sums, bias, residual, table, rows, out], cost)
    }
}
