//! Operations that models name together, so that an executor may compute them at once.

use super::low_rank::PLAIN;
use super::{Builder, Scope};
use crate::{Op, QkNormRope, Result, Value};

impl Builder<'_> {
    /// Several [`Self::linear`] layers of one `x`, each of `n` columns and without an epilogue.
    pub fn linears<const N: usize>(
        &mut self,
        scope: &Scope,
        tensors: [&str; N],
        x: Value,
        n: usize,
    ) -> Result<[Value; N]> {
        let (mut layers, mut plain) = (Vec::new(), true);
        for tensor in tensors {
            let layer = self.linear_op(scope, tensor, x, n, 0..n, PLAIN)?;
            // With an addition of low rank a layer is several operations; with a scale it has an x of its own.
            plain &= layer.x == x && self.low_rank(&scope.enter(tensor), n, 0..n)?.is_none();
            layers.push((tensor, layer));
        }
        let mut values = [x; N];
        for (value, (tensor, layer)) in values.iter_mut().zip(layers) {
            *value = self.push_layer(scope, tensor, x, n, 0..n, layer)?;
        }
        if plain {
            self.together(&values);
        }
        Ok(values)
    }

    /// RMS norms over all heads, each with the weight of its tensor, then rotations; `cos` and `sin` are
    /// `[L, head_dim / 2]`.
    pub fn qk_norm_rope<const N: usize>(
        &mut self,
        scope: &Scope,
        tensors: [&str; N],
        xs: [Value; N],
        eps: f32,
        heads: usize,
        [cos, sin]: [Value; 2],
    ) -> Result<[Value; N]> {
        let mut operations = Vec::new();
        for (tensor, x) in tensors.into_iter().zip(xs) {
            self.label(scope, tensor);
            let (rows, columns) = (self.graph.node(x).rows(), self.graph.node(x).columns());
            let weight = self.parameter(&scope.enter(tensor), "weight", &[columns])?;
            if heads == 0 || columns % (2 * heads) != 0 {
                let why = format!("{columns} columns are not {heads} heads of even size");
                return Err(self.shape_error("qk_norm_rope", why));
            }
            for table in [cos, sin] {
                self.expect("qk_norm_rope", table, &[rows, columns / heads / 2])?;
            }
            operations.push(QkNormRope {
                x,
                weight,
                eps,
                heads,
                cos,
                sin,
            });
        }
        let mut values = xs;
        for (value, (tensor, op)) in values.iter_mut().zip(tensors.into_iter().zip(operations)) {
            self.label(scope, tensor);
            let shape = self.shape(op.x).to_vec();
            *value = self.push(Op::QkNormRope(op), shape);
        }
        self.together(&values);
        Ok(values)
    }

    /// Marks neighbours, of which none reads another.
    fn together(&mut self, values: &[Value]) {
        for value in &values[1..] {
            self.graph.nodes[value.index()].beside = true;
        }
    }
}
