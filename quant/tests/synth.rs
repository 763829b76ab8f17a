//! Rule-made weights against values from an independent program: integers, exact fractions and a search for the
//! nearest BF16 in plain Python, itself checked against files that the numpy script `weights_rule.py` wrote.

use kinora_quant::synth::{RuleWeights, SynthWeights};
use kinora_quant::{DType, Error, Weights};

const JSON: &str = r#"{"rule": "splitmix64-u24-v1", "seed": 31, "tensors": {
    "shared.weight": [[384, 64], 0.0, 1.385640646],
    "encoder.block.0.layer.0.layer_norm.weight": [[64], 1.0, 0.433012702]}}"#;

fn element(weights: &RuleWeights, name: &str, index: usize) -> u16 {
    let tensor = weights.tensor(name).unwrap();
    u16::from_le_bytes([tensor.data[2 * index], tensor.data[2 * index + 1]])
}

#[test]
fn elements_are_those_of_the_reference() {
    let weights = RuleWeights::parse_json(JSON.as_bytes()).unwrap();
    assert_eq!(
        weights.names(),
        ["encoder.block.0.layer.0.layer_norm.weight", "shared.weight"]
    );
    let info = weights.info("shared.weight").unwrap();
    assert_eq!((info.dtype, info.shape), (DType::BF16, vec![384, 64]));
    for (index, bits) in [(0, 0xbce5), (1, 0x3ec6), (2, 0xbfa3), (63, 0x3f4c), (24575, 0xbe58)] {
        assert_eq!(element(&weights, "shared.weight", index), bits, "element {index}");
    }
    for (index, bits) in [(0, 0x3f23), (1, 0x3f9b), (63, 0x3f66)] {
        assert_eq!(
            element(&weights, "encoder.block.0.layer.0.layer_norm.weight", index),
            bits,
            "element {index}"
        );
    }
    let weights = SynthWeights::new([("blöck.ü", vec![1001, 1000], -3.5, 0.25)], u64::MAX);
    for (index, bits) in [(0, 0xc053), (1, 0xc064), (1_000_000, 0xc05c)] {
        assert_eq!(element(&weights, "blöck.ü", index), bits, "element {index}");
    }
}

#[test]
fn rows_are_made_alone() {
    let weights = RuleWeights::parse_json(JSON.as_bytes()).unwrap();
    let whole = weights.tensor("shared.weight").unwrap();
    let rows = weights.rows("shared.weight", 17..19).unwrap();
    assert_eq!(rows.info.shape, [2, 64]);
    assert_eq!(rows.data, whole.rows(17..19).unwrap().data);
    assert!(matches!(
        weights.rows("shared.weight", 384..385),
        Err(Error::Rows { .. })
    ));
    assert!(matches!(weights.rows("shared", 0..1), Err(Error::MissingTensor { .. })));
    // A table that no memory holds still gives its rows.
    let weights = SynthWeights::new([("table", vec![1 << 50, 64], 0.0, 1.0)], 1);
    assert_eq!(
        weights.rows("table", 1 << 49..(1 << 49) + 1).unwrap().info.shape,
        [1, 64]
    );
    assert!(matches!(weights.tensor("table"), Err(Error::Memory { .. })));
}

#[test]
fn scalars_and_empty_tensors() {
    let weights = SynthWeights::new([("scalar", vec![], 1.0, 0.0), ("empty", vec![0, 3], 1.0, 0.0)], 1);
    assert_eq!(weights.tensor("scalar").unwrap().to_f32().unwrap(), [1.0]);
    assert_eq!(weights.tensor("empty").unwrap().to_f32().unwrap(), [0.0; 0]);
}

#[test]
fn bad_rule_files_are_refused_with_the_tensor_named() {
    let with = |tensor: &str| format!(r#"{{"rule": "splitmix64-u24-v1", "seed": 1, "tensors": {{{tensor}}}}}"#);
    for (json, words) in [
        (
            with(r#""a": [[4294967296, 4294967296], 0, 1]"#),
            "tensor `a`: its shape",
        ),
        (with(r#""a": [[-1], 0, 1]"#), "`a`: invalid value"),
        (with(r#""a": [[1], 0, 1e999]"#), "number out of range"),
        (with(r#""a": [[1], 0]"#), "`a`: invalid length"),
        (with(r#""a": [[1], 0, 1], "a": [[1], 0, 1]"#), "`a` is there twice"),
        (with("").replace("v1", "v2"), "its rule is `splitmix64-u24-v2`"),
        (with("").replace("\"seed\": 1,", ""), "missing field `seed`"),
        ("[".repeat(100_000), "nests deeper"),
    ] {
        let error = RuleWeights::parse_json(json.as_bytes()).unwrap_err();
        assert!(error.contains(words), "{json:.80}: {error}");
    }
    let error = RuleWeights::from_json("/nowhere/weights.json").unwrap_err();
    assert!(
        error.to_string().starts_with("/nowhere/weights.json: cannot find it"),
        "{error}"
    );
}

#[test]
fn ties_go_to_even_after_a_rounding_to_f32() {
    let bit = 2f64.powi(-7);
    // The third is above the tie, but not by enough for an `f32` to see it.
    let means = [
        1.0 + bit / 2.0,
        1.0 + 1.5 * bit,
        1.0 + bit / 2.0 + 2f64.powi(-40),
        -1.0 - bit / 2.0,
    ];
    let wanted = [1.0, 1.0 + 2.0 * bit, 1.0, -1.0];
    for (mean, want) in means.into_iter().zip(wanted) {
        let weights = SynthWeights::new([("tie", vec![1], mean, 0.0)], 1);
        assert_eq!(
            weights.tensor("tie").unwrap().to_f32().unwrap(),
            [want as f32],
            "{mean}"
        );
    }
}
