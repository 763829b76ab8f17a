//! LoRA files that are broken, meant for another model, or meant to break us: each is refused with words that name
//! the tensor, and none panics.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinora_models::lora::{apply_opened, kind};
use kinora_models::wan::{Expert, TransformerConfig};
use kinora_quant::{DType, Tensor};
use proptest::prelude::*;

type Tensors = BTreeMap<String, Tensor<'static>>;

fn zeros(shape: &[usize]) -> Tensor<'static> {
    Tensor::from_f32(shape, &vec![0.5; shape.iter().product()])
}

/// Just enough of a transformer of width 8.
fn expert() -> Expert {
    let weights: Tensors = [
        ("patch_embedding.weight", &[8, 2, 1, 2, 2][..]),
        ("patch_embedding.bias", &[8]),
        ("blocks.0.attn1.to_q.weight", &[8, 8]),
        ("blocks.0.attn1.norm_q.weight", &[8]),
        ("blocks.0.ffn.net.0.proj.weight", &[12, 8]),
        ("blocks.0.scale_shift_table", &[1, 6, 8]),
        ("blocks.0.odd.weight", &[]),
        ("blocks.0.none.weight", &[3, 0]),
    ]
    .map(|(name, shape)| (name.to_owned(), zeros(shape)))
    .into();
    let config: TransformerConfig = serde_json::from_str(
        r#"{"num_attention_heads": 1, "attention_head_dim": 8, "in_channels": 2, "out_channels": 2, "text_dim": 8,
            "freq_dim": 8, "ffn_dim": 12, "num_layers": 1}"#,
    )
    .unwrap();
    Expert {
        config,
        weights: Arc::new(weights),
    }
}

fn apply(tensors: Tensors) -> kinora_models::Result<(Expert, Vec<String>)> {
    let mut expert = expert();
    let notes = apply_opened(&mut expert, &[(Arc::new(tensors), 1.0)])?;
    Ok((expert, notes))
}

fn tensors(list: &[(&str, &[usize])]) -> Tensors {
    list.iter()
        .map(|(name, shape)| ((*name).to_owned(), zeros(shape)))
        .collect()
}

const Q: &str = "blocks.0.self_attn.q";

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let q = |ending: &str| format!("diffusion_model.{Q}{ending}");
    let list = |list: &[(&str, &[usize])]| -> Tensors {
        list.iter().map(|(ending, shape)| (q(ending), zeros(shape))).collect()
    };
    for (lora, words) in [
        (
            list(&[(".lora_up.weight", &[8, 2])]),
            &[".lora_up.weight", "no partner"][..],
        ),
        (list(&[(".lora_A.weight", &[2, 8])]), &[".lora_A.weight", "no partner"]),
        (
            list(&[(".lora_up.weight", &[8, 2]), (".lora_down.weight", &[3, 8])]),
            &["ranks differ", "[8, 2]", "[3, 8]"],
        ),
        (
            list(&[(".lora_up.weight", &[8, 0]), (".lora_down.weight", &[0, 8])]),
            &["or are 0"],
        ),
        (
            list(&[(".lora_up.weight", &[1536, 2]), (".lora_down.weight", &[2, 1536])]),
            &[
                "[1536, 1536]",
                "`blocks.0.attn1.to_q.weight`",
                "[8, 8]",
                "wan2.1-t2v-1.3b",
            ],
        ),
        (
            list(&[(".lora_up.weight", &[8, 2]), (".lora_B.weight", &[8, 2])]),
            &[".lora_up.weight", ".lora_B.weight", "the same part"],
        ),
        (
            list(&[
                (".lora_up.weight", &[8, 2]),
                (".lora_down.weight", &[2, 8]),
                (".alpha", &[2]),
            ]),
            &[".alpha", "one finite number"],
        ),
        (
            list(&[
                (".lora_up.weight", &[8, 2]),
                (".lora_down.weight", &[2, 8]),
                (".dora_scale", &[7]),
            ]),
            &[".dora_scale", "[7]"],
        ),
        (
            list(&[
                (".lora_up.weight", &[8, 2]),
                (".lora_down.weight", &[2, 8]),
                (".lora_mid.weight", &[2, 3, 1]),
            ]),
            &[".lora_mid.weight", "do not fit"],
        ),
        (
            list(&[(".lora_up.weight", &[]), (".lora_down.weight", &[2, 8])]),
            &["single number"],
        ),
        (
            list(&[(".hada_w1_a", &[8, 2]), (".hada_w1_b", &[2, 8])]),
            &["hada_w2_a"],
        ),
        (
            list(&[(".hada_w2_a", &[8, 2]), (".hada_w2_b", &[2, 8])]),
            &["hada_w1_a"],
        ),
        (list(&[(".lokr_w1", &[2, 2])]), &["lokr_w2"]),
        (
            list(&[(".lokr_w1", &[2, 2]), (".lokr_w2", &[4, 3])]),
            &["[8, 6]", "[8, 8]"],
        ),
        (
            list(&[(".lokr_w1", &[0, 1 << 40]), (".lokr_w2", &[1 << 40, 0])]),
            &["[0, 0]"],
        ),
        (list(&[(".diff", &[8, 9])]), &[".diff", "[8, 9]"]),
        (list(&[(".diff", &[8])]), &[".diff", "[8]"]),
        (
            list(&[(".diff_b", &[9])]),
            &[".diff_b", "`blocks.0.attn1.to_q.bias`", "[8]"],
        ),
        (list(&[(".set_weight", &[4, 4])]), &[".set_weight", "[4, 4]"]),
        (list(&[(".a1.weight", &[8, 2])]), &["GLoRA", ".a1.weight"]),
        (list(&[(".oft_blocks", &[2, 4, 4])]), &["OFT"]),
        (list(&[(".reshape_weight", &[2])]), &["shape", ".reshape_weight"]),
        (list(&[(".lora_B.bias", &[8])]), &["bias inside"]),
    ] {
        let names: Vec<_> = lora.keys().cloned().collect();
        let error = apply(lora).map(drop).expect_err(&format!("{names:?}")).to_string();
        for word in words {
            assert!(error.contains(word), "{names:?} without `{word}`: {error}");
        }
        assert!(error.len() < 600, "{error}");
    }
}

#[test]
fn numbers_that_are_none() {
    let name = format!("{Q}.lora_up.weight");
    let mut lora = tensors(&[("blocks.0.self_attn.q.lora_down.weight", &[2, 8])]);
    lora.insert(name.clone(), Tensor::new(DType::I32, &[8, 2], vec![0; 64]).unwrap());
    let error = apply(lora).map(drop).unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("I32"), "{error}");

    let mut lora = tensors(&[(&name, &[8, 2]), ("blocks.0.self_attn.q.lora_down.weight", &[2, 8])]);
    lora.insert(format!("{Q}.alpha"), Tensor::from_f32(&[], &[f32::NAN]));
    assert!(apply(lora).map(drop).unwrap_err().to_string().contains(".alpha"));
}

#[test]
fn a_lora_for_another_model_says_for_which() {
    for (name, words) in [
        (
            "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight",
            "HunyuanVideo or Flux",
        ),
        ("transformer.transformer_blocks.0.attn1.to_q.lora_A.weight", "LTX-Video"),
        (
            "lora_unet_down_blocks_0_attentions_0.lora_down.weight",
            "Stable Diffusion",
        ),
        ("model.layers.0.weight", "no LoRA"),
    ] {
        let error = apply(tensors(&[(name, &[2, 8])])).map(drop).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(name), "{error}");
    }
    assert!(apply(Tensors::new()).is_err());
    assert!(kind(&Tensors::new()).is_none());
}

#[test]
fn what_is_left_out_is_listed_in_few_words() {
    let mut lora = tensors(&[
        (&format!("{Q}.lora_up.weight"), &[8, 2]),
        (&format!("{Q}.lora_down.weight"), &[2, 8]),
        ("blocks.0.cross_attn.k_img.diff", &[2]),
        ("lora_te_x.lora_down.weight", &[1, 1]),
        (&format!("a\u{1b}[2J\u{202e}{}", "x".repeat(5000)), &[1]),
    ]);
    for i in 0..20_000 {
        lora.insert(format!("strange.{i}"), zeros(&[1]));
    }
    let (_, notes) = apply(lora).unwrap();
    let [note] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(note.contains("20003 tensors") && note.contains("19997 more"), "{note}");
    assert!(note.contains("text encoders") && note.len() < 700, "{note}");
    assert!(!note.contains(['\u{1b}', '\u{202e}']), "{note}");
}

proptest! {
    /// Any tensors under names of any meaning: refused, or applied so that everything can be read.
    #[test]
    fn nothing_panics(
        lora in proptest::collection::btree_map(
            (
                proptest::sample::select(vec!["patch_embedding", Q, "blocks.0.ffn.0", "blocks.0.self_attn.norm_q",
                    "blocks.0.modulation", "blocks.0.odd", "blocks.0.none"]),
                proptest::sample::select(vec![".lora_up.weight", ".lora_down.weight", ".lora_mid.weight", ".alpha",
                    ".dora_scale", ".diff", ".diff_b", ".set_weight", ".hada_w1_a", ".hada_w1_b", ".hada_w2_a",
                    ".hada_w2_b", ".hada_t1", ".lokr_w1", ".lokr_w2", ".lokr_w1_a", ".lokr_w1_b", ".lokr_t2"]),
            ),
            prop_oneof![
                proptest::collection::vec(0usize..4, 0..5),
                proptest::sample::select(vec![vec![8, 2], vec![2, 8], vec![8, 8], vec![12, 8], vec![8], vec![],
                    vec![2, 2], vec![4, 4], vec![8, 2, 1, 2, 2], vec![2, 2, 1, 2, 2], vec![1, 8], vec![3, 0]]),
            ],
            1..8,
        )
    ) {
        let lora: Tensors = lora.iter().map(|((m, e), shape)| (format!("{m}{e}"), zeros(shape))).collect();
        if let Ok((expert, _)) = apply(lora) {
            let weights = &*expert.weights;
            for name in weights.names() {
                let info = weights.info(&name).expect("a name leads to a tensor");
                let tensor = weights.tensor(&name).expect("a tensor in memory can be read");
                prop_assert_eq!(&tensor.info, &info);
                prop_assert_eq!(tensor.data.len(), info.bytes());
            }
        }
    }
}
