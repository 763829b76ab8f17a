//! Prompts to rows of text.

use kinora_graph::{Executor, HostTensor};

use super::{Event, Listener, Stage, StageControl};
use crate::Result;
use crate::sampler::Preset;
use crate::text::{clean::prompt_clean, umt5};
use crate::wan::Model;

/// A prompt as the transformer sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// `[text_rows, text_dim]`, zeros past the prompt.
    pub rows: Vec<f32>,
    /// Tokens of the prompt, end token included.
    pub tokens: usize,
}

/// Encodes prompts one by one. The encoder's programs are released at the end: nothing later needs them.
///
/// Only a prompt's own tokens are computed: padding could not be seen by them, and its rows are zeros afterwards.
pub fn encode_text(
    model: &Model,
    executor: &mut dyn Executor,
    preset: Preset,
    prompts: &[&str],
    listener: &mut dyn Listener,
) -> Result<Vec<Embedding>> {
    listener.event(&Event::Started {
        stage: Stage::Text,
        count: prompts.len(),
    });
    let mut embeddings = Vec::new();
    for (index, prompt) in prompts.iter().enumerate() {
        let ids = tokens(model, preset, prompt, listener)?;
        let length = ids.len();
        let graph = umt5::encoder_graph(&model.text_config, &*model.text_encoder, length, false)?;
        let program = executor.compile(graph, &model.text_encoder)?;
        listener.event(&Event::Planned {
            stage: Stage::Text,
            needs: executor.requirements(program),
        });
        let width = model.text_config.d_model;
        let embedded = HostTensor::f32(
            &[length, width],
            umt5::embed(&*model.text_encoder, &model.text_config, &ids)?,
        );
        let buckets = HostTensor::u32(&[2 * length - 1], model.text_config.buckets(length));
        let inputs = [("embeddings", &embedded), ("buckets", &buckets)];
        let mut control = StageControl {
            listener,
            stage: Stage::Text,
            index,
            count: prompts.len(),
        };
        let result = executor.run(program, &inputs, &mut control);
        executor.release(program);
        let mut rows = result?
            .remove("hidden")
            .expect("the graph has this output")
            .into_f32()?;
        super::denoise::check_usable("text encoding", &rows)?;
        rows.resize(model.text_rows * width, 0.0);
        embeddings.push(Embedding { rows, tokens: length });
    }
    listener.event(&Event::Finished { stage: Stage::Text });
    Ok(embeddings)
}

/// Ids of a prompt, cut to the rows that the transformer has.
fn tokens(model: &Model, preset: Preset, prompt: &str, listener: &mut dyn Listener) -> Result<Vec<u32>> {
    // ComfyUI hands the text to the tokenizer as it is.
    let text = if preset == Preset::Comfy {
        prompt.to_owned()
    } else {
        prompt_clean(prompt)
    };
    let encoded = model.tokenizer.encode(&text, model.text_rows)?;
    if let Some(tokens) = encoded.truncated {
        listener.event(&Event::Warning(format!(
            "the prompt has {tokens} tokens, the model takes {}; the rest is ignored",
            model.text_rows
        )));
    }
    Ok(encoded.ids)
}
