use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kinora_models::wan::Variant;
use kinora_models::wan::files::Role;
use kinora_models::wan::manifest::{self, Entry};
use kinora_quant::synth::RuleWeights;
use kinora_quant::{DType, Tensor, Weights, file};

use super::*;

/// A small transformer in original names.
fn transformer() -> BTreeMap<String, Tensor<'static>> {
    let rule = RuleWeights::new(
        [
            ("patch_embedding.weight", vec![64, 16, 1, 2, 2], 0.0, 0.2),
            ("blocks.0.self_attn.q.weight", vec![512, 512], 0.0, 0.1),
            ("blocks.0.self_attn.q.bias", vec![512], 0.0, 0.1),
            ("blocks.0.ffn.0.weight", vec![100, 96], 0.0, 0.1),
            ("blocks.0.modulation", vec![1, 6, 64], 0.0, 0.1),
            ("head.head.weight", vec![64, 512], 0.0, 0.1),
        ],
        5,
    );
    let owned = |name: String| (name.clone(), rule.tensor(&name).unwrap().into_owned());
    rule.names().into_iter().map(owned).collect()
}

fn run(weights: &dyn Weights, output: &Path, target: &str) -> Result<(Vec<Line>, Totals), Error> {
    let job = Quantize {
        weights,
        output,
        target: target.parse()?,
        force: false,
        requantize: false,
    };
    let mut lines = Vec::new();
    let totals = quantize(&job, &mut |_, line| {
        lines.extend(line);
        true
    })?;
    Ok((lines, totals))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

/// The relative error that a type may have at numbers spread evenly. Floats of p significant bits are off by at most
/// 2^-p, with a root mean square of 1/√3 of that. Integers of b bits over the same range are off by 1 / (2^b - 1);
/// scales that are rounded themselves, and numbers spread otherwise by a rotation, cost up to 2.5 times that.
fn bound(dtype: DType) -> f64 {
    let float = |significant: i32| 2f64.powi(-significant) / 3f64.sqrt();
    let integer = |bits: i32| 2.5 / (2f64.powi(bits) - 1.0);
    match dtype {
        // The source is BF16.
        DType::F32 | DType::BF16 => 0.0,
        DType::F16 => float(11),
        DType::F8E4M3Scaled | DType::Mxfp8 => float(4),
        DType::Nvfp4 => float(2),
        DType::Q2K => integer(2),
        DType::Q3K => integer(3),
        DType::Q4_0 | DType::Q4_1 | DType::Q4K | DType::Iq4Nl | DType::Iq4Xs => integer(4),
        DType::Q5_0 | DType::Q5_1 | DType::Q5K => integer(5),
        DType::Q6K => integer(6),
        _ => integer(8),
    }
}

#[test]
fn every_type_is_written_and_read_back_within_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let source = transformer();
    let matrix = "blocks.0.self_attn.q.weight";
    let values = source[matrix].to_f32().unwrap();
    for target in Target::ALL {
        let output = folder
            .path()
            .join(target.name)
            .with_extension(target.container().extension());
        let (lines, totals) = run(&source, &output, target.name).unwrap_or_else(|e| panic!("{}: {e}", target.name));
        let written = file::open(&output).unwrap();
        assert_eq!(written.names(), source.names(), "{}", target.name);
        let tensor = written.tensor(matrix).unwrap();
        assert_eq!(tensor.info.dtype, target.dtype);
        assert_eq!(tensor.info.shape, [512, 512]);
        let back = tensor.to_f32().unwrap();
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
        let error = square(&mut values.iter().zip(&back).map(|(a, b)| a - b)).sqrt();
        let relative = error / square(&mut values.iter().copied()).sqrt();
        // What is printed is what a reader of the file sees.
        let line = lines.iter().find(|line| line.name == matrix).unwrap();
        let said = line.error.map_or(0.0, |error| error.relative_rms());
        assert!(
            (said - relative).abs() <= 1e-6,
            "{}: said {said}, is {relative}",
            target.name
        );
        assert!(relative <= bound(target.dtype), "{}: {relative}", target.name);
        let of_lines = lines
            .iter()
            .filter_map(|line| line.error)
            .map(|error| error.relative_rms());
        assert!(totals.relative_rms() <= of_lines.fold(0.0, f64::max) && totals.written > 0);
        for name in ["patch_embedding.weight", "head.head.weight", "blocks.0.modulation"] {
            let dtype = written.info(name).unwrap().dtype;
            assert!(
                matches!(dtype, DType::F32 | DType::F16 | DType::BF16),
                "{}: {name} is {dtype}",
                target.name
            );
            if !target.is_plain() {
                assert_eq!(
                    written.tensor(name).unwrap().to_f32().unwrap(),
                    source[name].to_f32().unwrap()
                );
            }
        }
        // 96 elements are no whole number of 256-blocks.
        let unfit = lines.iter().find(|line| line.name == "blocks.0.ffn.0.weight").unwrap();
        assert_eq!(unfit.unfit, target.dtype.row_bytes(96).is_none(), "{}", target.name);
        assert_eq!(unfit.to == Some(DType::F16), unfit.unfit || target.name == "f16");
    }
    assert_eq!(
        names(folder.path()).len(),
        Target::ALL.len(),
        "temporary files are gone"
    );
}

#[test]
fn pieces_do_not_change_the_result() {
    // More than one piece, and more than one run of each.
    let name = "blocks.0.ffn.0.weight";
    let rule = RuleWeights::new(
        [
            (name, vec![9000, 512], 0.0, 0.1),
            ("patch_embedding.weight", vec![8, 4, 1, 2, 2], 0.0, 0.1),
        ],
        1,
    );
    let folder = tempfile::tempdir().unwrap();
    for target in ["q8_0", "fp8"] {
        let target: Target = target.parse().unwrap();
        let output = folder.path().join("x").with_extension(target.container().extension());
        run(&rule, &output, target.name).unwrap();
        let values = rule.tensor(name).unwrap().to_f32().unwrap();
        let whole = target.dtype.encode(512, &values).unwrap();
        let written = file::open(&output).unwrap();
        assert!(*written.tensor(name).unwrap().data == *whole, "{}", target.name);
    }
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let source = transformer();
    let refused = |weights: &dyn Weights, output: PathBuf, target: &str, words: &[&str]| {
        let said = run(weights, &output, target).expect_err("it should fail").to_string();
        for word in words {
            assert!(said.contains(word), "`{said}` does not say `{word}`");
        }
    };
    refused(&source, path("x.safetensors"), "q4_k", &["q4_k", ".gguf"]);
    refused(&source, path("x.gguf"), "fp8", &["fp8", ".safetensors"]);
    refused(&source, path("x.safetensors"), "q7", &["q7", "iq4_xs"]);
    let stranger = BTreeMap::from([("a".to_owned(), Tensor::from_f32(&[1], &[0.0]))]);
    refused(&stranger, path("x.safetensors"), "f16", &["no part of a model"]);
    let vae = BTreeMap::from([(
        "decoder.conv1.weight".to_owned(),
        Tensor::from_f32(&[1, 32], &[0.0; 32]),
    )]);
    refused(&vae, path("x.gguf"), "q8_0", &["autoencoder is not quantised", "f16"]);
    let mut narrow = source.clone();
    narrow.remove("blocks.0.self_attn.q.weight");
    refused(&narrow, path("x.gguf"), "q4_k", &["no whole blocks"]);
    let mut quantised = source.clone();
    let tensor = Tensor::new(DType::F8E4M3, &[2, 2], vec![0; 4]).unwrap();
    quantised.insert("blocks.1.ffn.0.weight".to_owned(), tensor);
    refused(
        &quantised,
        path("x.gguf"),
        "q8_0",
        &["blocks.1.ffn.0.weight", "F8_E4M3", "--requantize"],
    );
    assert!(names(folder.path()).is_empty());
    std::fs::write(path("x.gguf"), "mine").unwrap();
    refused(&source, path("x.gguf"), "q8_0", &["--force"]);
    assert_eq!(std::fs::read(path("x.gguf")).unwrap(), b"mine");
}

#[test]
fn stopping_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let job = Quantize {
        weights: &transformer(),
        output: &folder.path().join("x.safetensors"),
        target: "f16".parse().unwrap(),
        force: false,
        requantize: false,
    };
    let mut left = 3;
    let result = quantize(&job, &mut |_, _| {
        left -= 1;
        left > 0
    });
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn made_up_files_have_the_true_names_and_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let variant = Variant::Wan21T2v14b;
    let make = |name: &str, seed| {
        let output = folder.path().join(name);
        let job = Synth {
            variant,
            role: Role::Vae,
            target: Target::F16,
            output: &output,
            seed,
            force: false,
        };
        let mut written = 0;
        synth(&job, &mut |bytes| {
            written += bytes;
            true
        })
        .unwrap();
        assert_eq!(written, job.bytes().unwrap());
        output
    };
    let first = make("a.safetensors", 1);
    let weights = file::open(&first).unwrap();
    let entries = manifest::tensors(variant, Role::Vae);
    let expected: BTreeSet<_> = entries
        .iter()
        .map(|entry| (entry.name.clone(), entry.shape.clone()))
        .collect();
    let found = weights.names().into_iter().map(|name| {
        let shape = weights.info(&name).unwrap().shape;
        (name, shape)
    });
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
    for Entry { name, shape } in &entries {
        let values = weights.tensor(name).unwrap().to_f32().unwrap();
        let fan_in: usize = shape.iter().skip(1).product();
        let most = values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        assert!(
            values.iter().all(|v| v.is_finite()) && most <= 1.2f32.max((3.0 / fan_in as f32).sqrt()),
            "{name}"
        );
    }
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    assert!(
        bytes(&first) == bytes(&make("b.safetensors", 1)),
        "the same seed, the same bytes"
    );
    assert!(
        bytes(&first) != bytes(&make("c.safetensors", 2)),
        "another seed, other bytes"
    );
}
