//! LoRAs of every scheme and naming on a small Wan transformer, against PyTorch with the changes merged in f32
//! (`tools/reference/make_loras.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinora_cpu::CpuExecutor;
use kinora_graph::{Executor, Graph, HostTensor, NoControl, Precision, Scores};
use kinora_models::lora::{LoraSpec, apply_to};
use kinora_models::wan::rope::timestep_embedding;
use kinora_models::wan::transformer::{StepShape, TextKeys, step_graph, text_graph};
use kinora_models::wan::{Expert, TransformerConfig};
use kinora_quant::{DType, Tensor, Weights, file};

/// Largest |a − b| over the largest |expected|. The two sides differ in where the changes are added (beside the weight
/// or to it) and in the order of sums, some 1e-6 in each of a dozen products in a row.
const TOLERANCE: f32 = 2e-5;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/lora")
        .join(name)
}

fn config() -> TransformerConfig {
    serde_json::from_str(
        r#"{"num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 4, "out_channels": 4, "text_dim": 32,
            "freq_dim": 32, "ffn_dim": 64, "num_layers": 2}"#,
    )
    .unwrap()
}

fn expert(weights: Arc<dyn Weights>) -> Expert {
    Expert {
        config: config(),
        weights,
    }
}

fn model() -> Arc<dyn Weights> {
    Arc::from(file::open(fixture("model.safetensors")).unwrap())
}

fn expected() -> Box<dyn Weights> {
    file::open(fixture("expected.safetensors")).unwrap()
}

fn cases() -> BTreeMap<String, Vec<(String, f32)>> {
    serde_json::from_slice(&std::fs::read(fixture("cases.json")).unwrap()).unwrap()
}

fn shape() -> StepShape {
    StepShape {
        latent: [2, 4, 6],
        text_rows: 5,
        image_rows: 0,
        timesteps: 1,
        prompted: false,
        branches: vec!["only".into()],
        expert: "only".into(),
        text_keys: TextKeys::default(),
        scores: Scores::Float,
    }
}

fn graphs(weights: &dyn Weights) -> [Graph; 2] {
    [
        text_graph(&config(), weights, &shape(), "only").unwrap(),
        step_graph(&config(), weights, &shape()).unwrap(),
    ]
}

fn velocity(expert: &Expert, precision: Precision) -> Vec<f32> {
    let inputs = expected();
    let floats = |name: &str| inputs.tensor(name).unwrap().to_f32().unwrap();
    let text = HostTensor::f32(&[5, 32], floats("text"));
    let latent = HostTensor::f32(&[4, 2, 4, 6], floats("latent"));
    let time = HostTensor::f32(&[1, 32], timestep_embedding(&floats("timestep"), 32));
    let mut executor = CpuExecutor::new(precision);
    let [keys, step] = graphs(&*expert.weights);
    let keys = executor.compile(keys, &expert.weights).unwrap();
    executor.run(keys, &[("text", &text)], &mut NoControl).unwrap();
    let step = executor.compile(step, &expert.weights).unwrap();
    let inputs = [("latent", &latent), ("time", &time)];
    let mut outputs = executor.run(step, &inputs, &mut NoControl).unwrap();
    outputs.remove("velocity").unwrap().into_f32().unwrap()
}

fn difference(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0f32, |m, e| m.max(e.abs()));
    let off = got.iter().zip(expected).fold(0f32, |m, (g, e)| m.max((g - e).abs()));
    assert!(off.is_finite() && largest > 0.0);
    off / largest
}

fn specs(used: &[(String, f32)]) -> Vec<LoraSpec> {
    let spec = |(name, strength): &(String, f32)| LoraSpec {
        path: fixture(&format!("{name}.safetensors")),
        strength: *strength,
        expert: None,
    };
    used.iter().map(spec).collect()
}

fn check(weights: &Arc<dyn Weights>, case: &str, used: &[(String, f32)]) -> Result<(), String> {
    let mut expert = expert(weights.clone());
    let notes = apply_to(&mut expert, &specs(used)).map_err(|e| format!("{case}: {e}"))?;
    if !notes.is_empty() {
        return Err(format!("{case}: {notes:?}"));
    }
    let expected = expected().tensor(case).unwrap().to_f32().unwrap();
    let off = difference(&velocity(&expert, Precision::F32), &expected);
    println!("{case:14} differs by {off:.1e}");
    if off > TOLERANCE {
        return Err(format!("{case} differs by {off:.1e}"));
    }
    Ok(())
}

#[test]
fn each_scheme_does_what_pytorch_does() {
    let model = model();
    let failed: Vec<String> = cases()
        .iter()
        .filter(|(case, _)| *case != "q8_0")
        .filter_map(|(case, used)| check(&model, case, used).err())
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn weights_of_any_type_stay_as_they_are() {
    let (model, fixtures) = (model(), expected());
    let mut tensors = BTreeMap::new();
    for name in model.names() {
        let tensor = match fixtures.tensor(&format!("q8_0.{name}")) {
            Ok(bytes) => Tensor::new(DType::Q8_0, &model.info(&name).unwrap().shape, bytes.data.into_owned()).unwrap(),
            Err(_) => model.tensor(&name).unwrap().into_owned(),
        };
        tensors.insert(name, tensor);
    }
    let blocks = tensors.values().filter(|t| t.info.dtype == DType::Q8_0).count();
    assert_eq!(blocks, 10);
    let weights: Arc<dyn Weights> = Arc::new(tensors);
    check(&weights, "q8_0", &cases()["q8_0"]).unwrap();
}

#[test]
fn low_rank_changes_stay_beside_the_weights() {
    let mut expert = expert(model());
    let used = [
        ("kohya".to_owned(), 1.0),
        ("loha".to_owned(), 1.0),
        ("lokr".to_owned(), 1.0),
    ];
    apply_to(&mut expert, &specs(&used)).unwrap();
    let info = |name: &str| expert.weights.info(name).unwrap();
    assert_eq!(info("blocks.0.attn1.to_q.weight").dtype, DType::BF16);
    assert_eq!(info("blocks.0.attn1.to_q.weight.lora_down").shape, [3 + 4, 32]);
    assert_eq!(info("blocks.0.attn1.to_q.weight.lora_up").shape, [32, 3 + 4]);
    assert_eq!(
        info("blocks.1.ffn.net.2.weight").dtype,
        DType::F32,
        "LoHa of full rank is merged"
    );
    assert!(expert.weights.info("blocks.1.ffn.net.2.weight.lora_down").is_none());

    // Nothing is left out: every factor is multiplied with somewhere.
    let used: Vec<String> = graphs(&*expert.weights)
        .iter()
        .flat_map(|graph| {
            graph
                .nodes()
                .iter()
                .filter_map(|n| n.op.matrix())
                .map(|m| m.name.clone())
        })
        .collect();
    for name in expert.weights.names().iter().filter(|n| n.contains(".lora_")) {
        assert!(used.contains(name), "{name}");
    }
}

#[test]
fn rows_are_those_of_the_whole() {
    let mut expert = expert(model());
    let used = ["kohya", "loha", "lokr", "dora"].map(|name| (name.to_owned(), 0.5));
    apply_to(&mut expert, &specs(&used)).unwrap();
    let weights = &*expert.weights;
    for name in weights.names() {
        let whole = weights.tensor(&name).unwrap();
        assert_eq!(whole.info, weights.info(&name).unwrap());
        let rows = whole.info.shape[0];
        let range = rows / 3..rows - rows / 4;
        let part = weights.rows(&name, range.clone()).unwrap();
        let mut read = vec![0; part.data.len()];
        weights.read_rows(&name, range.clone(), &mut read).unwrap();
        assert_eq!(part.data, whole.rows(range).unwrap().data, "{name}");
        assert_eq!(part.data, read, "{name}");
        assert!(weights.rows(&name, 0..rows + 1).is_err(), "{name}");
    }
}

#[test]
fn half_precision_rounds_operands_only() {
    let mut expert = expert(model());
    apply_to(&mut expert, &specs(&cases()["two"])).unwrap();
    let off = difference(
        &velocity(&expert, Precision::F16),
        &expected().tensor("two").unwrap().to_f32().unwrap(),
    );
    assert!(off > 1e-6 && off < 5e-3, "{off}");
}

#[test]
fn a_layer_may_get_a_bias_and_a_norm_may_not() {
    let weights: BTreeMap<_, _> = [
        ("blocks.0.a.weight".to_owned(), Tensor::from_f32(&[3, 2], &[1.0; 6])),
        ("blocks.0.norm.weight".to_owned(), Tensor::from_f32(&[3], &[1.0; 3])),
    ]
    .into();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bias.safetensors");
    let lora: BTreeMap<_, _> = [
        ("blocks.0.a.diff_b".to_owned(), Tensor::from_f32(&[3], &[1.0, 2.0, 3.0])),
        (
            "blocks.0.norm.diff_b".to_owned(),
            Tensor::from_f32(&[3], &[1.0, 2.0, 3.0]),
        ),
    ]
    .into();
    file::save(&path, &lora, &BTreeMap::new()).unwrap();
    let mut expert = expert(Arc::new(weights));
    let spec = LoraSpec {
        path,
        strength: 2.0,
        expert: None,
    };
    let notes = apply_to(&mut expert, &[spec]).unwrap();
    assert_eq!(
        expert.weights.tensor("blocks.0.a.bias").unwrap().to_f32().unwrap(),
        [2.0, 4.0, 6.0]
    );
    assert!(expert.weights.names().contains(&"blocks.0.a.bias".to_owned()));
    assert!(
        notes[0].contains("blocks.0.norm.diff_b"),
        "a norm has no bias: {notes:?}"
    );
    assert!(expert.weights.info("blocks.0.norm.bias").is_none());
}
