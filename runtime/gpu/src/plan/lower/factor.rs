//! The other factor of a product with a weight, in the form that the weight asks for. It is made once for all
//! operations that read the value.

use kinora_graph::{Cost, Result, Value};
use kinora_quant::Rotation;
use kinora_shaders::quantize_rows::{self, QuantizeRows};

use super::super::emit::Emitter;
use super::super::view::View;

impl Emitter<'_> {
    /// `x` as numbers: rotated where the weight is.
    pub(super) fn factor(&mut self, x: Value, rotation: Option<Rotation>) -> Result<View> {
        match rotation {
            None => Ok(self.view(x)),
            Some(rotation) => self.prepared(x, QuantizeRows::Rotate(rotation)),
        }
    }

    /// What `kernel` makes of the rows of `x`.
    pub(super) fn prepared(&mut self, x: Value, kernel: QuantizeRows) -> Result<View> {
        if let Some(view) = self.shared(x, kernel) {
            return Ok(view);
        }
        let (rows, k) = (self.graph.node(x).rows(), self.graph.node(x).columns());
        let words = kernel.out_words(k as u32) as usize;
        let view = self.view(x);
        let out = self.temp(rows * words);
        let cost = Cost {
            flops: 16 * (rows * k) as u64,
            bytes: view.size + out.size,
        };
        for chunk in self.chunks(rows, 1, &[(view, k), (out, words)], cost) {
            let params = quantize_rows::Params {
                rows: chunk.len(),
                k: k as u32,
                first_row: chunk.first(),
                _pad: 0,
            };
            let views = [chunk.view(view, k), chunk.view(out, words)];
            self.emit(kernel, params, &views, chunk.cost(cost))?;
        }
        self.share(x, kernel, out);
        Ok(out)
    }
}
