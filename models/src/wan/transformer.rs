//! The diffusion transformer, as two graphs: the text's keys and values once per run (where they are kept), the
//! velocity once per step.

use kinora_graph::{
    Activation, Attention, Builder, Epilogue, Gate, Graph, Modulation, Padding, Result, Rows, Scope, Scores, Value,
};
use kinora_quant::Weights;

use crate::wan::{TransformerConfig, rope::rope_tables};

/// What a step's graph is built for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepShape {
    /// Latent frames, height and width.
    pub latent: [usize; 3],
    /// Rows of text that the keys and values were made from (512 in the official pipelines).
    pub text_rows: usize,
    /// Rows of CLIP image tokens, 0 for none.
    pub image_rows: usize,
    /// Distinct timesteps in one forward pass: 1, or more where tokens have times of their own.
    pub timesteps: usize,
    /// Passes in one step, e.g. `["positive", "negative"]`: each has its own text. Two passes are guided:
    /// `velocity = guidance[0] · first + guidance[1] · second`.
    pub branches: Vec<String>,
    /// Whether the first pass's velocity is an output of its own, `prompted`.
    pub prompted: bool,
    /// Prefix of the states that hold keys and values, one per expert.
    pub expert: String,
    /// Where keys and values of the text (and of the image) come from.
    pub text_keys: TextKeys,
    /// Arithmetic of self-attention's scores. Those of cross-attention, which has few keys, stay float.
    pub scores: Scores,
}

/// Where cross-attention takes its keys and values from. Both ways give the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextKeys {
    /// From states that [`text_graph`] has set: no work in a step, `2 · rows · dim` numbers for each block and branch.
    #[default]
    States,
    /// Computed where they are used, from inputs of the step.
    Inline,
}

/// Text (and image) tokens → keys and values of every block, kept as states.
///
/// Inputs: `text` `[text_rows, text_dim]`, zeros past the prompt; `image` `[image_rows, image_dim]` if there are any.
pub fn text_graph(config: &TransformerConfig, weights: &dyn Weights, shape: &StepShape, branch: &str) -> Result<Graph> {
    let mut b = Builder::new(weights);
    let context = Context {
        text: text_tokens(&mut b, config, shape, "text")?,
        image: image_tokens(&mut b, config, shape)?,
    };
    for layer in 0..config.num_layers {
        let attn = Scope::root().enter("blocks").enter(layer).enter("attn2");
        let (text, image) = context.keys(&mut b, config, &attn)?;
        let mut keep = |what: &str, value| b.set_state(&state(shape, branch, layer, what), value);
        keep("k", text.key);
        keep("v", text.value);
        if let Some(image) = image {
            keep("image_k", image.key);
            keep("image_v", image.value);
        }
    }
    Ok(b.finish())
}

/// One forward pass per branch over the same latent, block by block, so that each block's weights are used
/// for all branches in a row.
///
/// Inputs: `latent` `[in_channels, F, H, W]`; `time` `[timesteps, freq_dim]` sinusoids; `rows` `[L]` (u32), each
/// token's row of `time`, where there are several; `guidance` `[2]` for two branches; with [`TextKeys::Inline`] also the
/// inputs of [`text_graph`], the text as `text.{branch}`.
/// Output: `velocity` `[out_channels, F, H, W]`; where asked for `prompted` of the same shape.
pub fn step_graph(config: &TransformerConfig, weights: &dyn Weights, shape: &StepShape) -> Result<Graph> {
    let mut b = Builder::new(weights);
    let root = Scope::root();
    let dim = config.dim();
    let [f, h, w] = shape.latent;
    let tokens = config.tokens(shape.latent);

    let latent = b.input("latent", &[config.in_channels, f, h, w]);
    let channels_last = b.permute(
        latent,
        &[config.in_channels, f, h, w],
        &[1, 2, 3, 0],
        0,
        &[f, h, w, config.in_channels],
    )?;
    let patches = b.conv3d(
        &root,
        "patch_embedding",
        channels_last,
        None,
        dim,
        config.patch_size,
        config.patch_size,
        Padding::default(),
        None,
    )?;
    let x = b.reshape(patches, &[tokens, dim])?;

    let rows = match shape.timesteps {
        1 => Rows::First,
        _ => Rows::Indexed(b.input_u32("rows", &[tokens])),
    };
    let embedder = root.enter("condition_embedder");
    let time = b.input("time", &[shape.timesteps, config.freq_dim]);
    let inner = embedder.enter("time_embedder");
    // The official code keeps the time path in f32.
    let e = b.linear_precise(&inner, "linear_1", time, dim, Epilogue::Activation(Activation::Silu))?;
    let e = b.linear_precise(&inner, "linear_2", e, dim, PLAIN)?;
    let activated = b.activation(Activation::Silu, e);
    let e0 = b.linear_precise(&embedder, "time_proj", activated, 6 * dim, PLAIN)?;

    let (cos, sin) = rope_tables(config, shape.latent);
    let half = config.attention_head_dim / 2;
    let rope = [cos, sin].map(|table| b.constant(&[tokens, half], &table));

    let mut contexts = Vec::new();
    if shape.text_keys == TextKeys::Inline {
        let image = image_tokens(&mut b, config, shape)?;
        for branch in &shape.branches {
            let text = text_tokens(&mut b, config, shape, &format!("text.{branch}"))?;
            contexts.push(Context { text, image });
        }
    }

    let mut streams = vec![x; shape.branches.len()];
    for layer in 0..config.num_layers {
        let scope = root.enter("blocks").enter(layer);
        let table = b.parameter(&scope, "scale_shift_table", &[6 * dim])?;
        b.label(&scope, "modulation");
        let table = b.add(e0, table)?;
        for (index, (branch, x)) in shape.branches.iter().zip(&mut streams).enumerate() {
            let block = Block {
                config,
                shape,
                scope: &scope,
                table,
                rows,
                rope,
                branch,
                context: contexts.get(index),
                layer,
            };
            *x = block.forward(&mut b, *x)?;
            b.tap(&format!("blocks.{layer}.{branch}"), *x);
        }
    }

    // The head's table [2, dim] is added to e, not to e0.
    b.label(&root, "modulation");
    let twice = b.repeat_columns(e, 2)?;
    let table = b.parameter(&root, "scale_shift_table", &[2 * dim])?;
    let table = b.add(twice, table)?;
    let mut velocities = Vec::new();
    for x in streams {
        let y = b.modulated_norm(
            &root,
            "norm_out",
            x,
            config.eps,
            Modulation {
                table,
                shift: 0,
                scale: dim,
                rows,
            },
        )?;
        let patch: usize = config.patch_size.iter().product();
        let y = b.linear_precise(&root, "proj_out", y, config.out_channels * patch, PLAIN)?;
        velocities.push(unpatchify(&mut b, config, y, shape.latent)?);
    }
    if shape.prompted {
        b.output("prompted", velocities[0]);
    }
    let velocity = match velocities.as_slice() {
        [one] => *one,
        many => {
            let guidance = b.input("guidance", &[many.len()]);
            b.combine(guidance, many)?
        }
    };
    b.output("velocity", velocity);
    Ok(b.finish())
}

const PLAIN: Epilogue = Epilogue::Activation(Activation::None);

fn state(shape: &StepShape, branch: &str, layer: usize, what: &str) -> String {
    format!("{}.{branch}.blocks.{layer}.{what}", shape.expert)
}

/// Tokens that cross-attention sees, at the transformer's width.
struct Context {
    text: Value,
    image: Option<Value>,
}

/// What attention makes of one kind of tokens.
struct Keys {
    key: Value,
    value: Value,
}

impl Context {
    /// Keys and values of one block, of the text and of the image.
    fn keys(&self, b: &mut Builder<'_>, config: &TransformerConfig, attn: &Scope) -> Result<(Keys, Option<Keys>)> {
        let mut keys = |tokens, layers, norm| -> Result<Keys> {
            let [key, value] = b.linears(attn, layers, tokens, config.dim())?;
            let key = b.rms_norm(attn, norm, key, config.eps)?;
            Ok(Keys { key, value })
        };
        let text = keys(self.text, ["to_k", "to_v"], "norm_k")?;
        let image = |tokens| keys(tokens, ["add_k_proj", "add_v_proj"], "norm_added_k");
        Ok((text, self.image.map(image).transpose()?))
    }
}

/// The input `name` of text tokens at the transformer's width.
fn text_tokens(b: &mut Builder<'_>, config: &TransformerConfig, shape: &StepShape, name: &str) -> Result<Value> {
    let scope = Scope::root().enter("condition_embedder").enter("text_embedder");
    let text = b.input(name, &[shape.text_rows, config.text_dim]);
    let gelu = Epilogue::Activation(Activation::GeluTanh);
    let x = b.linear(&scope, "linear_1", text, config.dim(), gelu)?;
    b.linear(&scope, "linear_2", x, config.dim(), PLAIN)
}

/// CLIP tokens, where there are any, at the transformer's width: norm, two linear layers with exact GELU, norm.
fn image_tokens(b: &mut Builder<'_>, config: &TransformerConfig, shape: &StepShape) -> Result<Option<Value>> {
    let (Some(image_dim), rows @ 1..) = (config.image_dim, shape.image_rows) else {
        return Ok(None);
    };
    let scope = Scope::root().enter("condition_embedder").enter("image_embedder");
    let mut x = b.input("image", &[rows, image_dim]);
    if let Some(positions) = config.pos_embed_seq_len {
        let table = b.parameter(&scope, "pos_embed", &[positions, image_dim])?;
        x = b.add(x, table)?;
    }
    let x = b.layer_norm(&scope, "norm1", x, IMAGE_NORM_EPS)?;
    let x = b.linear(
        &scope,
        "ff.net.0.proj",
        x,
        image_dim,
        Epilogue::Activation(Activation::GeluErf),
    )?;
    let x = b.linear(&scope, "ff.net.2", x, config.dim(), PLAIN)?;
    b.layer_norm(&scope, "norm2", x, IMAGE_NORM_EPS).map(Some)
}

/// PyTorch's default for LayerNorm, which the image embedder keeps.
const IMAGE_NORM_EPS: f32 = 1e-5;

/// One block of one branch.
struct Block<'a> {
    config: &'a TransformerConfig,
    shape: &'a StepShape,
    scope: &'a Scope,
    /// `[timesteps, 6 · dim]`: shift, scale, gate of self-attention, then of the feed-forward layers.
    table: Value,
    rows: Rows,
    rope: [Value; 2],
    branch: &'a str,
    /// What keys and values are computed from; `None` where they are states.
    context: Option<&'a Context>,
    layer: usize,
}

impl Block<'_> {
    fn forward(&self, b: &mut Builder<'_>, x: Value) -> Result<Value> {
        let x = self.self_attention(b, x)?;
        let x = self.cross_attention(b, x)?;
        self.feed_forward(b, x)
    }

    fn self_attention(&self, b: &mut Builder<'_>, x: Value) -> Result<Value> {
        let (config, dim) = (self.config, self.config.dim());
        let attn = self.scope.enter("attn1");
        let h = self.modulated(b, "norm1", x, 0)?;
        let [q, k, v] = b.linears(&attn, ["to_q", "to_k", "to_v"], h, dim)?;
        let (norms, heads) = (["norm_q", "norm_k"], config.num_attention_heads);
        let [q, k] = b.qk_norm_rope(&attn, norms, [q, k], config.eps, heads, self.rope)?;
        let y = self.attend(b, &attn, [q, k, v], self.shape.scores)?;
        b.linear(&attn, "to_out.0", y, dim, self.gated(x, 2 * dim))
    }

    fn cross_attention(&self, b: &mut Builder<'_>, x: Value) -> Result<Value> {
        let (config, dim) = (self.config, self.config.dim());
        let attn = self.scope.enter("attn2");
        let h = if config.cross_attn_norm {
            b.layer_norm(self.scope, "norm2", x, config.eps)?
        } else {
            x
        };
        let q = b.linear(&attn, "to_q", h, dim, PLAIN)?;
        let q = b.rms_norm(&attn, "norm_q", q, config.eps)?;
        let (text, image) = match self.context {
            Some(context) => context.keys(b, config, &attn)?,
            None => self.kept_keys(b),
        };
        let mut y = self.attend(b, &attn, [q, text.key, text.value], Scores::Float)?;
        if let Some(image) = image {
            let image = self.attend(b, &attn, [q, image.key, image.value], Scores::Float)?;
            y = b.add(y, image)?;
        }
        b.linear(
            &attn,
            "to_out.0",
            y,
            dim,
            Epilogue::Residual {
                residual: x,
                gate: None,
            },
        )
    }

    /// Keys and values that [`text_graph`] has left, of the text and of the image.
    fn kept_keys(&self, b: &mut Builder<'_>) -> (Keys, Option<Keys>) {
        let dim = self.config.dim();
        let mut kept = |key, value, rows| {
            let mut state = |what| b.state(&state(self.shape, self.branch, self.layer, what), &[rows, dim]);
            Keys {
                key: state(key),
                value: state(value),
            }
        };
        let text = kept("k", "v", self.shape.text_rows);
        let image = (self.shape.image_rows > 0).then(|| kept("image_k", "image_v", self.shape.image_rows));
        (text, image)
    }

    fn feed_forward(&self, b: &mut Builder<'_>, x: Value) -> Result<Value> {
        let dim = self.config.dim();
        let ffn = self.scope.enter("ffn").enter("net");
        let h = self.modulated(b, "norm3", x, 3 * dim)?;
        let h = b.linear(
            &ffn,
            "0.proj",
            h,
            self.config.ffn_dim,
            Epilogue::Activation(Activation::GeluTanh),
        )?;
        b.linear(&ffn, "2", h, dim, self.gated(x, 5 * dim))
    }

    fn modulated(&self, b: &mut Builder<'_>, name: &str, x: Value, shift: usize) -> Result<Value> {
        let modulation = Modulation {
            table: self.table,
            shift,
            scale: shift + self.config.dim(),
            rows: self.rows,
        };
        b.modulated_norm(self.scope, name, x, self.config.eps, modulation)
    }

    fn gated(&self, residual: Value, column: usize) -> Epilogue {
        Epilogue::Residual {
            residual,
            gate: Some(Gate {
                table: self.table,
                column,
                rows: self.rows,
            }),
        }
    }

    fn attend(&self, b: &mut Builder<'_>, scope: &Scope, [q, k, v]: [Value; 3], scores: Scores) -> Result<Value> {
        let scale = 1.0 / (self.config.attention_head_dim as f32).sqrt();
        let op = Attention {
            q,
            k,
            v,
            heads: self.config.num_attention_heads,
            scale,
            bias: None,
            mask: None,
            blocks: None,
            scores,
        };
        b.attention(scope, "attention", op)
    }
}

/// `[L, pt · ph · pw · c]` (c fastest) → `[c, F, H, W]`.
fn unpatchify(b: &mut Builder<'_>, config: &TransformerConfig, x: Value, [f, h, w]: [usize; 3]) -> Result<Value> {
    let [pt, ph, pw] = config.patch_size;
    let c = config.out_channels;
    b.permute(
        x,
        &[f / pt, h / ph, w / pw, pt, ph, pw, c],
        &[6, 0, 3, 1, 4, 2, 5],
        0,
        &[c, f, h, w],
    )
}
