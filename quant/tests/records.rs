//! Quantised weights with scales in tensors of their own: ComfyUI's conventions, comfy-kitchen's numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kinora_quant::file::{self, Records, SafetensorsFile, parse_layer_config, parse_quantization_metadata};
use kinora_quant::{DType, Error, Rotation, Tensor, Weights};
use random::Random;

mod random;

type Tensors = BTreeMap<String, Tensor<'static>>;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The layers of `records.safetensors`: name, type and shape.
const LAYERS: [(&str, DType, [usize; 2]); 12] = [
    ("e4m3", DType::F8E4M3Scaled, [5, 7]),
    ("e5m2", DType::F8E5M2Scaled, [5, 7]),
    ("old", DType::F8E4M3Scaled, [5, 7]),
    ("mxfp8", DType::Mxfp8, [150, 96]),
    ("nvfp4", DType::Nvfp4, [150, 80]),
    ("int8", DType::Int8, [6, 9]),
    ("int8_rows", DType::Int8, [6, 9]),
    ("convrot_16", DType::Int8ConvRot(Rotation::G16), [3, 32]),
    ("convrot_64", DType::Int8ConvRot(Rotation::G64), [3, 128]),
    ("convrot_256", DType::Int8ConvRot(Rotation::G256), [3, 512]),
    ("awq_f16", DType::Int4F16, [3, 128]),
    ("awq_bf16", DType::Int4BF16, [3, 128]),
];

fn assert_records(weights: &dyn Weights) {
    let expected = SafetensorsFile::open(data("records.expected.safetensors")).unwrap();
    for (layer, dtype, shape) in LAYERS {
        let name = format!("{layer}.weight");
        let records = expected.tensor(&format!("{layer}.records")).unwrap();
        let tensor = weights.tensor(&name).unwrap();
        assert_eq!(
            (tensor.info.dtype, tensor.info.shape.as_slice()),
            (dtype, &shape[..]),
            "{name}"
        );
        assert!(tensor.data == records.data, "{name}");
        assert_eq!(weights.listing(&name).unwrap().bytes, records.data.len() as u64);
        // Some rows, both ways.
        let (range, row) = (1..shape[0] - 1, records.data.len() / shape[0]);
        let wanted = &records.data[row..row * (shape[0] - 1)];
        assert!(*weights.rows(&name, range.clone()).unwrap().data == *wanted, "{name}");
        let mut out = vec![0xaa; wanted.len()];
        weights.read_rows(&name, range.clone(), &mut out).unwrap();
        assert!(out == wanted, "{name}");
        assert!(matches!(
            weights.read_rows(&name, range, &mut out[1..]),
            Err(Error::Length { .. })
        ));
        assert!(matches!(weights.rows(&name, 0..shape[0] + 1), Err(Error::Rows { .. })));
    }
}

#[test]
fn files_in_every_format_of_comfy_kitchen_become_records() {
    let weights = file::open(data("records.safetensors")).unwrap();
    assert_records(&weights);
    let mut visible: Vec<_> = LAYERS.iter().map(|(layer, ..)| format!("{layer}.weight")).collect();
    visible.extend(["mxfp8.bias", "nvfp4.bias", "nvfp4.pre_quant_scale", "norm.weight"].map(str::to_owned));
    visible.sort();
    assert_eq!(weights.names(), visible);
    for hidden in [
        "scaled_fp8",
        "nvfp4.weight_scale_2",
        "e4m3.comfy_quant",
        "old.scale_input",
        "e5m2.input_scale",
    ] {
        assert!(
            weights.info(hidden).is_none() && weights.listing(hidden).is_none(),
            "{hidden}"
        );
        assert!(
            weights.tensor(hidden).is_err() && weights.rows(hidden, 0..1).is_err(),
            "{hidden}"
        );
    }
}

#[test]
fn the_header_may_describe_what_tensors_do_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let stored = SafetensorsFile::open(data("records.safetensors")).unwrap();
    let mut all = Tensors::new();
    let mut layers = serde_json::Map::new();
    for name in stored.names() {
        let tensor = stored.tensor(&name).unwrap();
        match name.strip_suffix(".comfy_quant") {
            Some(layer) => drop(layers.insert(layer.to_owned(), serde_json::from_slice(&tensor.data).unwrap())),
            None => drop(all.insert(name, tensor.into_owned())),
        }
    }
    layers.insert("elsewhere".to_owned(), serde_json::json!({"format": "nvfp4"}));
    let text = serde_json::json!({"format_version": "1.0", "layers": layers}).to_string();
    file::save(
        &path,
        &all,
        &BTreeMap::from([("_quantization_metadata".to_owned(), text)]),
    )
    .unwrap();
    assert_records(&file::open(&path).unwrap());
}

#[test]
fn records_written_in_comfyui_s_conventions_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    // The biases, which would tell how many rows there are, are left out.
    let weights = file::open(data("records.safetensors")).unwrap();
    let only = file::Renamed::by_rule(weights, |n| n.ends_with(".weight").then(|| n.to_owned())).unwrap();
    file::save(&path, &only, &BTreeMap::new()).unwrap();
    let back = file::open(&path).unwrap();
    assert_records(&back);
    assert_eq!(back.names(), only.names());
    // Tensor by tensor, what comfy-kitchen made.
    let (ours, theirs) = (
        SafetensorsFile::open(&path).unwrap(),
        SafetensorsFile::open(data("records.safetensors")).unwrap(),
    );
    for (layer, ..) in LAYERS.iter().filter(|(layer, ..)| !matches!(*layer, "old" | "int8")) {
        for part in ["weight", "weight_scale", "weight_scale_2", "weight_zeros"] {
            let name = format!("{layer}.{part}");
            if let Ok(theirs) = theirs.tensor(&name) {
                let ours = ours.tensor(&name).unwrap();
                assert_eq!(ours.info, theirs.info, "{name}");
                assert!(ours.data == theirs.data, "{name}");
            }
        }
    }
}

#[test]
fn records_that_a_file_cannot_hold_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let save = |name: &str, dtype: DType, shape: &[usize], bytes: Vec<u8>| {
        let tensor = Tensor::new(dtype, shape, bytes).unwrap();
        let error = file::save(&path, &Tensors::from([(name.to_owned(), tensor)]), &BTreeMap::new());
        error.unwrap_err().to_string()
    };
    let scales = |a: f32, b: f32| [[0; 4], a.to_le_bytes(), [0; 4], b.to_le_bytes()].concat();
    assert!(save("x", DType::Int8, &[2, 4], scales(1.0, 1.0)).contains("must end in `.weight`"));
    assert!(save("x.weight", DType::F8E4M3Scaled, &[2, 4], scales(1.0, 2.0)).contains("different scales"));
    assert!(save("x.weight", DType::Q8_0, &[1, 32], vec![0; 34]).contains("Q8_0"));
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

fn f32s(shape: &[usize], values: &[f32]) -> Tensor<'static> {
    Tensor::from_f32(shape, values)
}

fn bytes(dtype: DType, shape: &[usize], fill: u8) -> Tensor<'static> {
    let size = shape.iter().product::<usize>() * dtype.row_bytes(1).unwrap();
    Tensor::new(dtype, shape, vec![fill; size]).unwrap()
}

fn config(text: &str) -> Tensor<'static> {
    Tensor::new(DType::U8, &[text.len()], text.as_bytes().to_vec()).unwrap()
}

#[test]
fn what_does_not_fit_is_refused_with_the_tensor_named() {
    let fp8 = || bytes(DType::F8E4M3, &[4, 8], 0);
    let int8 = || bytes(DType::I8, &[4, 32], 0);
    let nvfp4 = |weight: [usize; 2], scales: [usize; 2], fill: u8| {
        vec![
            ("comfy_quant", config(r#"{"format":"nvfp4"}"#)),
            ("weight", bytes(DType::U8, &weight, 0)),
            ("weight_scale", bytes(DType::F8E4M3, &scales, fill)),
            ("weight_scale_2", f32s(&[], &[1.0])),
        ]
    };
    let without = |mut parts: Vec<(&'static str, Tensor<'static>)>, part: &str| {
        parts.retain(|(name, _)| *name != part);
        parts
    };
    let awq = |scale: Tensor<'static>| {
        vec![
            ("comfy_quant", config(r#"{"format":"awq_w4a16"}"#)),
            ("weight", bytes(DType::I8, &[3, 64], 0)),
            ("weight_scale", scale),
            ("weight_zeros", bytes(DType::F16, &[2, 3], 0)),
        ]
    };
    for (parts, words) in [
        (
            vec![("weight", fp8()), ("scale_weight", f32s(&[], &[f32::NAN]))],
            "holds NaN at 0",
        ),
        (
            vec![("weight", fp8()), ("scale_weight", f32s(&[], &[f32::INFINITY]))],
            "holds inf",
        ),
        (
            vec![
                ("weight", fp8()),
                ("weight_scale", f32s(&[4, 1], &[1.0, 1.0, -1.0, 1.0])),
            ],
            "holds -1 at 2",
        ),
        (
            vec![("weight", fp8()), ("scale_weight", f32s(&[3], &[1.0; 3]))],
            "shape [3]; it must hold one scale or 4",
        ),
        (
            vec![("weight", fp8()), ("scale_weight", f32s(&[4, 2], &[1.0; 8]))],
            "shape [4, 2]",
        ),
        (
            vec![("weight", fp8()), ("weight_scale", bytes(DType::U8, &[4, 1], 1))],
            "stored as U8",
        ),
        (
            vec![("weight", f32s(&[1, 1], &[1.0])), ("scale_weight", f32s(&[], &[2.0]))],
            "is not 1",
        ),
        (
            vec![
                ("weight", bytes(DType::F8E4M3, &[4, 2, 2], 0)),
                ("scale_weight", f32s(&[], &[1.0])),
            ],
            "only matrices",
        ),
        (
            vec![
                ("weight", fp8()),
                ("comfy_quant", config(r#"{"format":"float8_e4m3fn"}"#)),
            ],
            "no tensor `x.weight_scale`",
        ),
        (
            vec![
                ("weight", fp8()),
                ("comfy_quant", config(r#"{"format":"svdquant_w4a4"}"#)),
            ],
            "`svdquant_w4a4` cannot be read; use a version of the file in one of float8_e4m3fn",
        ),
        (
            vec![
                ("weight", fp8()),
                ("comfy_quant", config(r#"{"format":"asym_w4a8_int8"}"#)),
            ],
            "`asym_w4a8_int8`",
        ),
        (
            vec![
                ("weight", fp8()),
                ("comfy_quant", config(r#"{"format":"convrot_w4a4"}"#)),
            ],
            "`convrot_w4a4`",
        ),
        (
            vec![
                ("weight", fp8()),
                ("comfy_quant", config(r#"{"format":"int8_tensorwise"}"#)),
            ],
            "F8_E4M3, which INT8",
        ),
        (vec![("weight", fp8()), ("comfy_quant", config("{"))], "bad JSON"),
        (
            vec![("weight", fp8()), ("comfy_quant", config("{}"))],
            "missing field `format`",
        ),
        (
            vec![("weight", fp8()), ("comfy_quant", config(&"[".repeat(1000)))],
            "nests deeper",
        ),
        (
            vec![("weight", fp8()), ("comfy_quant", config(&" ".repeat(70_000)))],
            "takes 70000 bytes",
        ),
        (
            vec![
                ("weight", int8()),
                ("weight_scale", f32s(&[], &[1.0])),
                (
                    "comfy_quant",
                    config(r#"{"format":"int8_tensorwise","convrot":true,"convrot_groupsize":32}"#),
                ),
            ],
            "groups of 32",
        ),
        (
            vec![
                ("weight", int8()),
                ("weight_scale", f32s(&[], &[1.0])),
                ("comfy_quant", config(r#"{"format":"int8_tensorwise","convrot":true}"#)),
            ],
            "rows of 32 elements hold no whole blocks of INT8 convrot 256",
        ),
        (nvfp4([16, 8], [128, 4], 0x7f), "holds no scale at 0"),
        (nvfp4([16, 8], [128, 4], 0xb0), "holds no scale at 0"),
        (nvfp4([16, 8], [127, 4], 0x30), "shape [127, 4], not [128, 4]"),
        (nvfp4([144, 40], [128, 8], 0x30), "shape [128, 8], not [256, 8]"),
        (nvfp4([16, 9], [128, 4], 0x30), "no whole blocks of NVFP4"),
        (
            without(nvfp4([16, 8], [128, 4], 0x30), "weight_scale_2"),
            "no tensor `x.weight_scale_2`",
        ),
        (
            without(nvfp4([16, 8], [128, 4], 0x30), "weight_scale"),
            "no tensor `x.weight_scale`",
        ),
        (
            vec![
                ("comfy_quant", config(r#"{"format":"mxfp8","orig_shape":[64,32]}"#)),
                ("weight", bytes(DType::F8E4M3, &[32, 32], 0)),
                ("weight_scale", bytes(DType::U8, &[128, 4], 127)),
            ],
            "said to have 64 rows, and 32 are there",
        ),
        (awq(bytes(DType::F16, &[3, 2], 0)), "shape [3, 2], not [2, 3]"),
        (awq(bytes(DType::BF16, &[2, 3], 0)), "stored as BF16 and F16"),
        (awq(bytes(DType::F16, &[2, 3], 0x7f)), "holds NaN at 0"),
    ] {
        let tensors: Tensors = parts.into_iter().map(|(part, t)| (format!("x.{part}"), t)).collect();
        let error = Records::new(&tensors).err().expect(words);
        let text = error.to_string();
        assert!(
            matches!(error, Error::Quantised { .. }) && text.contains(words),
            "{words}: {text}"
        );
        assert!(text.contains("`x.") && text.len() < 500, "{text}");
    }
}

#[test]
fn weights_that_stayed_plain_are_let_be() {
    let tensors = Tensors::from([
        ("m.scaled_fp8".to_owned(), bytes(DType::F8E4M3, &[0], 0)),
        ("x.weight".to_owned(), f32s(&[1, 2], &[3.0, 4.0])),
        ("x.scale_weight".to_owned(), f32s(&[], &[1.0])),
        ("y.weight".to_owned(), bytes(DType::F8E4M3, &[2, 2], 0x38)),
    ]);
    let weights = Records::new(&tensors).unwrap();
    assert_eq!(weights.names(), ["x.weight", "y.weight"]);
    assert_eq!(weights.tensor("x.weight").unwrap().to_f32().unwrap(), [3.0, 4.0]);
    assert_eq!(weights.info("y.weight").unwrap().dtype, DType::F8E4M3);
}

const PIECES: [&[u8]; 8] = [
    b"-1",
    b"99999999999999999999",
    b"null",
    b"{",
    b"]",
    b"\"",
    b"true,",
    b"\"convrot\":",
];

#[test]
fn mutations_of_descriptions_and_files_never_panic() {
    let layer = r#"{"format":"int8_tensorwise","convrot":true,"convrot_groupsize":256,"params":{"group_size":64}}"#;
    let metadata =
        r#"{"format_version":"1.0","layers":{"a":{"format":"nvfp4","orig_shape":[4,16]},"b":{"format":"mxfp8"}}}"#;
    let mut random = Random(0xC0F);
    for _ in 0..5000 {
        let mut text = layer.as_bytes().to_vec();
        random.mutate(&mut text, &PIECES, |_, _| {});
        let _ = parse_layer_config(&text);
        let mut text = metadata.as_bytes().to_vec();
        random.mutate(&mut text, &PIECES, |_, _| {});
        let _ = parse_quantization_metadata(&String::from_utf8_lossy(&text));
    }
    let whole = std::fs::read(data("records.safetensors")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let mut opened = 0;
    for _ in 0..2000 {
        let mut file = whole.clone();
        for _ in 0..3 {
            // Bytes of numbers and names, so that the header stays one.
            let at = 8 + random.below(file.len() - 8);
            file[at] = if file[at].is_ascii_digit() {
                b'0' + random.below(10) as u8
            } else {
                file[at] ^ 1
            };
        }
        std::fs::write(&path, &file).unwrap();
        if let Ok(weights) = file::open(&path) {
            opened += 1;
            for name in weights.names() {
                let _ = weights.tensor(&name);
            }
        }
    }
    assert!(opened > 20, "only {opened} mutated files opened");
}
