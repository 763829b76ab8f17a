//! Blocks that encoder and decoder share.

use kinora_graph::{Activation, Attention, Builder, Epilogue, Norm, NormKind, Padding, Result, Scope, Scores, Value};

use super::Chunk;

/// Epsilon of `torch.nn.functional.normalize`.
const L2_EPS: f32 = 1e-12;

/// Frames of history of a kernel of three.
pub(super) const HISTORY: usize = 2;

/// Builds one chunk's graph of an encoder or decoder.
pub(super) struct Net<'b, 'w> {
    pub b: &'b mut Builder<'w>,
    pub chunk: Chunk,
}

impl Net<'_, '_> {
    /// A 3x3x3 convolution, causal in time.
    pub(super) fn causal_conv(
        &mut self,
        scope: &Scope,
        name: &str,
        x: Value,
        out: usize,
        residual: Option<Value>,
    ) -> Result<Value> {
        let cache = self.history(scope, name, x, self.chunk != Chunk::First)?;
        let front = if cache.is_some() { 0 } else { HISTORY };
        let padding = Padding {
            front,
            ..Padding::SPACE_1
        };
        self.b
            .conv3d(scope, name, x, cache, out, [3, 3, 3], [1, 1, 1], padding, residual)
    }

    /// The last two frames before this chunk, where there `was` a chunk; keeps this chunk's last two for the next.
    pub(super) fn history(&mut self, scope: &Scope, name: &str, x: Value, was: bool) -> Result<Option<Value>> {
        let &[t, h, w, c] = self.b.shape(x) else {
            unreachable!("feature maps have four dimensions")
        };
        let state = scope.name(name);
        let old = was.then(|| self.b.state(&state, &[HISTORY, h, w, c]));
        self.b.label(scope, name);
        let kept = if t >= HISTORY {
            self.b.slice(x, 0, t - HISTORY..t)?
        } else {
            let before = match old {
                Some(old) => self.b.slice(old, 0, 1..HISTORY)?,
                None => self.b.fill(&[1, h, w, c], 0.0),
            };
            self.b.concat(&[before, x])?
        };
        self.b.set_state(&state, kept);
        Ok(old)
    }

    /// L2 norm over channels times sqrt(C) times `gamma`, then SiLU where asked.
    pub(super) fn norm(&mut self, scope: &Scope, name: &str, x: Value, activation: Activation) -> Result<Value> {
        let columns = *self.b.shape(x).last().expect("feature maps have four dimensions");
        let weight = Some(self.b.parameter(&scope.enter(name), "gamma", &[columns])?);
        self.b.norm(
            scope,
            name,
            Norm {
                x,
                kind: NormKind::L2,
                eps: L2_EPS,
                weight,
                bias: None,
                modulation: None,
                activation,
            },
        )
    }

    /// norm, SiLU, conv, norm, SiLU, conv, plus the input (through a 1x1x1 convolution where widths differ).
    pub(super) fn resnet(&mut self, scope: &Scope, x: Value, out: usize) -> Result<Value> {
        let same = *self.b.shape(x).last().expect("feature maps have four dimensions") == out;
        let shortcut = if same {
            x
        } else {
            self.b.linear(scope, "conv_shortcut", x, out, PLAIN)?
        };
        let h = self.norm(scope, "norm1", x, Activation::Silu)?;
        let h = self.causal_conv(scope, "conv1", h, out, None)?;
        let h = self.norm(scope, "norm2", h, Activation::Silu)?;
        self.causal_conv(scope, "conv2", h, out, Some(shortcut))
    }

    /// Attention of one head over the positions of each frame.
    fn attention(&mut self, scope: &Scope, x: Value) -> Result<Value> {
        let &[t, h, w, c] = self.b.shape(x) else {
            unreachable!("feature maps have four dimensions")
        };
        let frames = self.b.reshape(x, &[t, h * w, c])?;
        let y = self.norm(scope, "norm", frames, Activation::None)?;
        let mut part = |i: usize| self.b.linear_rows(scope, "to_qkv", y, 3 * c, i * c..(i + 1) * c, PLAIN);
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let op = Attention {
            q,
            k,
            v,
            heads: 1,
            scale: 1.0 / (c as f32).sqrt(),
            bias: None,
            mask: None,
            blocks: None,
            scores: Scores::Float,
        };
        let y = self.b.attention(scope, "attention", op)?;
        let y = self.b.linear(
            scope,
            "proj",
            y,
            c,
            Epilogue::Residual {
                residual: frames,
                gate: None,
            },
        )?;
        self.b.reshape(y, &[t, h, w, c])
    }

    /// resnet, attention, resnet.
    pub(super) fn mid_block(&mut self, scope: &Scope, x: Value) -> Result<Value> {
        let width = *self.b.shape(x).last().expect("feature maps have four dimensions");
        let x = self.resnet(&scope.enter("resnets.0"), x, width)?;
        let x = self.attention(&scope.enter("attentions.0"), x)?;
        self.resnet(&scope.enter("resnets.1"), x, width)
    }
}

pub(super) const PLAIN: Epilogue = Epilogue::Activation(Activation::None);
