//! Names and shapes of a LoRA's tensors: refused, or applied so that every tensor can be read.
//!
//! Lines of a name, a tab, and dimensions below 16, apart by commas.
#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use kinora_models::lora::{apply_opened, kind, key::Key};
use kinora_models::wan::{Expert, TransformerConfig};
use kinora_quant::{Tensor, Weights};
use libfuzzer_sys::fuzz_target;

type Tensors = BTreeMap<String, Tensor<'static>>;

fn tensors(text: &str) -> Tensors {
    let line = |line: &str| {
        let (name, shape) = line.split_once('\t')?;
        let shape: Vec<usize> = shape.split(',').filter_map(|d| d.parse().ok()).take(5).collect();
        if shape.iter().any(|d| *d >= 16) {
            return None;
        }
        let values = vec![0.5; shape.iter().product()];
        Some((name.to_owned(), Tensor::from_f32(&shape, &values)))
    };
    text.lines().take(64).filter_map(line).collect()
}

static EXPERT: LazyLock<Expert> = LazyLock::new(|| Expert {
    config: serde_json::from_str::<TransformerConfig>(
        r#"{"num_attention_heads": 1, "attention_head_dim": 8, "in_channels": 2, "out_channels": 2, "text_dim": 8,
            "freq_dim": 8, "ffn_dim": 12, "num_layers": 1}"#,
    )
    .expect("a configuration"),
    weights: Arc::new(tensors(
        "patch_embedding.weight\t8,2,1,2,2\npatch_embedding.bias\t8\nblocks.0.attn1.to_q.weight\t8,8\n\
         blocks.0.ffn.net.0.proj.weight\t12,8\nblocks.0.norm2.weight\t8\nblocks.0.scale_shift_table\t1,6,8",
    )),
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for line in text.lines() {
        if let Some(key) = Key::parse(line) {
            assert!(line.starts_with(key.module) && key.module.ends_with(key.layer()));
        }
    }
    let lora: Arc<dyn Weights> = Arc::new(tensors(text));
    let _ = kind(&*lora);
    let mut expert = EXPERT.clone();
    if apply_opened(&mut expert, &[(lora, 0.5)]).is_err() {
        return;
    }
    for name in expert.weights.names() {
        let info = expert.weights.info(&name).expect("a name leads to a tensor");
        assert_eq!(expert.weights.tensor(&name).expect("it can be read").data.len(), info.bytes());
    }
});
