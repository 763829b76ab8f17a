//! Damaged cases end in a verdict, never in a panic, and never in a pass that was not earned.

use std::fs;
use std::path::{Path, PathBuf};

use kinora::verify::{Verdict, run_case};
use kinora_cpu::CpuExecutor;
use kinora_graph::{NoControl, Precision};
use serde_json::Value;

/// Damaged copies of each case.
const MUTATIONS: usize = 60;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens")
}

/// A generator of small numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

fn run(folder: &Path) -> Verdict {
    run_case(
        folder,
        &mut CpuExecutor::new(Precision::F32),
        Precision::F32,
        &mut NoControl,
    )
    .verdict
}

/// One of each module.
const CASES: [&str; 5] = [
    "wan22-ti2v-5b.transformer.t3h4w6-tokents",
    "wan22-vae.decoder.t3h1w2",
    "wan21-vae.encoder.f13h16w24",
    "umt5.text_encoder.n150-valid131",
    "unipc-flow.sampler.shift8-n1",
];

/// A copy of a case that needs no other folder.
fn copy_of(name: &str) -> tempfile::TempDir {
    let (from, to) = (goldens().join(name), tempfile::tempdir().unwrap());
    for entry in fs::read_dir(&from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    let mut case: Value = serde_json::from_slice(&fs::read(from.join("case.json")).unwrap()).unwrap();
    if let Some(weights) = case.get("weights").and_then(Value::as_str) {
        fs::copy(
            from.join(weights).with_file_name("weights.json"),
            to.path().join("weights.json"),
        )
        .unwrap();
        case["weights"] = "model.safetensors".into();
        fs::write(to.path().join("case.json"), case.to_string()).unwrap();
    }
    assert_eq!(run(to.path()), Verdict::Passed, "{name}");
    to
}

/// Replaces one value somewhere in the configuration or arguments.
fn damage(value: &mut Value, random: &mut Random) {
    let replacement = |random: &mut Random, old: &Value| match random.below(9) {
        0 => Value::Null,
        1 => 0.into(),
        2 => 1.into(),
        3 => (-1).into(),
        4 => u64::MAX.into(),
        5 => 1e300.into(),
        6 => "text".into(),
        7 => Value::Array(vec![old.clone(), old.clone()]),
        _ => old
            .as_u64()
            .map_or(Value::Bool(true), |n| (n * 2 + random.below(3) as u64).into()),
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(random.below(map.len())).expect("in range").clone();
            if random.below(8) == 0 {
                map.remove(&key);
            } else {
                damage(&mut map[&key], random);
            }
        }
        Value::Array(items) if !items.is_empty() && random.below(3) > 0 => {
            let at = random.below(items.len());
            damage(&mut items[at], random);
        }
        other => *other = replacement(random, other),
    }
}

#[test]
fn damaged_configurations_are_refused() {
    let mut random = Random(7);
    for name in CASES {
        let folder = copy_of(name);
        let good: Value = serde_json::from_slice(&fs::read(folder.path().join("case.json")).unwrap()).unwrap();
        for _ in 0..MUTATIONS {
            let mut bad = good.clone();
            for _ in 0..=random.below(2) {
                let section = ["config", "args", "weights", "layout"][random.below(4)];
                if let Some(value) = bad.get_mut(section) {
                    damage(value, &mut random);
                }
            }
            fs::write(folder.path().join("case.json"), bad.to_string()).unwrap();
            let verdict = run(folder.path());
            assert_ne!(verdict, Verdict::Cancelled, "{bad}");
        }
    }
}

#[test]
fn damaged_tensors_do_not_pass() {
    let mut random = Random(11);
    for name in CASES {
        let folder = copy_of(name);
        for file in ["inputs.safetensors", "expected.safetensors"] {
            let path = folder.path().join(file);
            let good = fs::read(&path).unwrap();
            for round in 0..MUTATIONS / 4 {
                let mut bad = good.clone();
                match round % 3 {
                    0 => bad.truncate(random.below(good.len())),
                    1 => {
                        let at = random.below(600.min(good.len()));
                        bad[at] = bad[at].wrapping_add(1 + random.below(254) as u8);
                    }
                    _ => {
                        // Signs and exponents of the numbers.
                        let at = good.len() - 1 - 4 * random.below(50);
                        bad[at] ^= 0x7F;
                    }
                }
                fs::write(&path, &bad).unwrap();
                let verdict = run(folder.path());
                assert!(
                    round % 3 != 0 || verdict != Verdict::Passed,
                    "{name}: a truncated {file} passed"
                );
            }
            fs::write(&path, &good).unwrap();
        }
        let path = folder.path().join("expected.safetensors");
        let mut bad = fs::read(&path).unwrap();
        let header = 8 + u64::from_le_bytes(bad[..8].try_into().unwrap()) as usize;
        for number in bad[header..].as_chunks_mut().0 {
            *number = f32::NAN.to_le_bytes();
        }
        fs::write(&path, bad).unwrap();
        assert!(matches!(run(folder.path()), Verdict::Failed(_)), "{name}: NaN passed");
    }
}

#[test]
fn what_is_not_implemented_never_passes() {
    let folder = tempfile::tempdir().unwrap();
    let case = |module: &str, class: &str| {
        format!(
            r#"{{"format": 1, "model": "x", "module": "{module}", "class": "{class}", "tolerance": {{"cosine": 0.9, "max_rel": 0.5}}}}"#
        )
    };
    for (module, class) in [
        ("transformer", "MochiTransformer3DModel"),
        ("text_encoder", "T5EncoderModel"),
        ("vocoder", "X"),
    ] {
        fs::write(folder.path().join("case.json"), case(module, class)).unwrap();
        assert!(
            matches!(run(folder.path()), Verdict::Unsupported(_)),
            "{module} {class}"
        );
    }
    fs::write(folder.path().join("case.json"), "{").unwrap();
    assert!(matches!(run(folder.path()), Verdict::Error(_)));
    assert!(matches!(run(&folder.path().join("nothing")), Verdict::Error(_)));
}
