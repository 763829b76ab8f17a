//! Files that are broken, or meant to break us. Each is refused with words; none panics.

use std::collections::BTreeMap;
use std::fs;

use kinora_quant::file::{self, SafetensorsFile, Sharded, parse_header, parse_index};
use kinora_quant::synth::RuleWeights;
use kinora_quant::{Error, Tensor, Weights};
use random::Random;

mod random;

/// A file with this header and so many bytes of data.
fn bytes(header: &str, data: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.extend(vec![0; data]);
    out
}

/// A file of one tensor `a` with these fields and 8 bytes of data.
fn tensor(dtype: &str, shape: &str, offsets: &str) -> Vec<u8> {
    bytes(
        &format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#),
        8,
    )
}

fn refusal(file: &[u8]) -> String {
    parse_header(file, file.len() as u64).expect_err("a broken file")
}

const TWO: &str = r#"{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}"#;

#[test]
fn the_valid_ones_pass() {
    let header = parse_header(&bytes(TWO, 11), (8 + TWO.len() + 11) as u64).unwrap();
    assert_eq!(header.entries.len(), 2);
    assert_eq!(header.metadata["k"], "v");
    for header in ["{}", "{}   ", r#"{"__metadata__":{}}"#] {
        assert!(
            parse_header(&bytes(header, 0), 8 + header.len() as u64).is_ok(),
            "{header}"
        );
    }
    let zero = tensor("F32", "[0,5]", "[0,0]");
    assert!(parse_header(&zero[..zero.len() - 8], zero.len() as u64 - 8).is_ok());
    // An unknown field is not ours to judge.
    let extra = bytes(
        r#"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8],"note":{"x":[1]}}}"#,
        8,
    );
    assert!(parse_header(&extra, extra.len() as u64).is_ok());
}

#[test]
fn every_truncation_is_refused() {
    let whole = bytes(TWO, 11);
    for length in 0..whole.len() {
        let error = refusal(&whole[..length]);
        assert!(
            error.contains("cut off") || error.contains("damaged"),
            "{length}: {error}"
        );
    }
}

#[test]
fn headers_that_break_a_rule_are_refused_with_the_tensor_named() {
    let length = |n: u64| [n.to_le_bytes().as_slice(), b"{}"].concat();
    let twice = r#"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"\u0061":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#;
    let pair = |second: &str| {
        bytes(
            &format!(
                r#"{{"b":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},"a":{{"dtype":"U8","shape":[4],"data_offsets":{second}}}}}"#
            ),
            8,
        )
    };
    let many = format!("[{}1]", "1,".repeat(1_000_000));
    for (file, words) in [
        (length(u64::MAX), "limit is 100000000"),
        (length(100_000_001), "limit is 100000000"),
        (length(100_000_000), "ends before that"),
        (length(3), "ends before that"),
        (length(0), "not a JSON object"),
        (bytes(" {}", 0), "not a JSON object"),
        (bytes("[]", 0), "not a JSON object"),
        (bytes("{\"a\":}", 0), "bad JSON"),
        (bytes("{} {}", 0), "bad JSON"),
        (bytes(&"{\"a\":".repeat(1_000_000), 0), "nests deeper"),
        (bytes(&format!("{{\"a\":{}", "[".repeat(1_000_000)), 0), "nests deeper"),
        (bytes(twice, 8), "`a` is there twice"),
        (
            bytes(r#"{"__metadata__":{},"__metadata__":{}}"#, 0),
            "`__metadata__` is there twice",
        ),
        (bytes(r#"{"__metadata__":{"k":"1","k":"2"}}"#, 0), "`k` is there twice"),
        (
            bytes(r#"{"__metadata__":{"k":1}}"#, 0),
            "`__metadata__`: `k`: invalid type",
        ),
        (bytes(r#"{"a":7}"#, 0), "`a`: invalid type"),
        (
            bytes(
                r#"{"a":{"dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#,
                8,
            ),
            "duplicate field `dtype`",
        ),
        (
            bytes(r#"{"a":{"dtype":"U8","shape":[8]}}"#, 8),
            "`a`: missing field `data_offsets`",
        ),
        (tensor("F32", "[2]", "[-8,8]"), "`a`: invalid value: integer `-8`"),
        (tensor("F32", "[2]", "[0,18446744073709551616]"), "`a`: "),
        (tensor("F32", "[2]", "[0,8.0]"), "`a`: invalid type: floating point"),
        (tensor("F32", "[2]", "[0,NaN]"), "bad JSON"),
        (tensor("F32", "[NaN]", "[0,8]"), "bad JSON"),
        (tensor("F32", "[2]", "[0,8,8]"), "bad JSON"),
        (tensor("F32", "[2]", "[0]"), "`a`: invalid length 1"),
        (tensor("F32", "[2]", "[8,0]"), "`a`: its bytes run backwards"),
        (
            tensor("F32", "[4]", "[0,16]"),
            "`a`: its bytes end at 16, but the file holds only 8",
        ),
        (
            tensor("F32", "[2]", "[18446744073709551608,18446744073709551615]"),
            "holds only 8",
        ),
        (
            tensor("F32", "[3]", "[0,8]"),
            "shape [3] of F32 does not take the 8 bytes",
        ),
        (tensor("F32", "[]", "[0,8]"), "does not take the 8 bytes"),
        (tensor("F8_E4M3", "[7]", "[0,8]"), "does not take the 8 bytes"),
        (tensor("F4", "[17]", "[0,8]"), "does not take the 8 bytes"),
        (tensor("F32", "[4294967296,4294967296]", "[0,8]"), "too large"),
        (tensor("F32", "[9223372036854775808,2]", "[0,0]"), "too large"),
        (tensor("U8", "[0,4294967296,4294967296]", "[0,0]"), "too large"),
        (tensor("NEW", "[4294967296,4294967296]", "[0,0]"), "too large"),
        (tensor("F32", "[-2]", "[0,8]"), "`a`: invalid value"),
        (tensor("F32", &many, "[0,8]"), "at most 16 dimensions"),
        (pair("[2,6]"), "`a` overlaps"),
        (pair("[0,4]"), "overlaps"),
        (
            pair("[4,8]").into_iter().chain([0]).collect(),
            "1 bytes after the last tensor",
        ),
        (tensor("U8", "[4]", "[4,8]"), "`a` leaves a gap"),
        (
            [8u64.to_le_bytes().as_slice(), b"{\"\xff\xfe\":1}"].concat(),
            "not UTF-8",
        ),
    ] {
        let error = refusal(&file);
        let header = String::from_utf8_lossy(&file[8..file.len().min(120)]);
        assert!(error.contains(words), "{header}: {error}");
        assert!(error.len() < 1000, "{header}: an error must stay readable");
    }
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let name = format!(r"\u001b[2Jwipe\u202e{}", "x".repeat(5000));
    let error = refusal(&bytes(
        &format!(r#"{{"{name}":{{"dtype":"U8","shape":[9],"data_offsets":[0,8]}}}}"#),
        8,
    ));
    assert!(
        error.contains(r"\u{1b}[2Jwipe\u{202e}x") && error.len() < 400,
        "{error}"
    );
    assert!(!error.contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn unknown_types_are_listed_but_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fp8.safetensors");
    fs::write(&path, tensor("F8_E4M3FNUZ", "[2,4]", "[0,8]")).unwrap();
    let weights = file::open(&path).unwrap();
    assert_eq!(weights.names(), ["a"]);
    assert!(weights.info("a").is_none());
    let listing = weights.listing("a").unwrap();
    assert_eq!(
        (listing.type_name.as_str(), listing.dtype, listing.bytes),
        ("F8_E4M3FNUZ", None, 8)
    );
    let wanted = ["fp8.safetensors", "`a`", "F8_E4M3FNUZ", "F32, F16, BF16"];
    for error in [
        weights.tensor("a").unwrap_err(),
        weights.missing("a"),
        weights.rows("a", 0..1).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(
            matches!(error, Error::UnsupportedType { .. }) && wanted.iter().all(|w| text.contains(w)),
            "{text}"
        );
    }
    assert!(matches!(weights.tensor("b"), Err(Error::MissingTensor { .. })));
    let copy = file::save(folder.path().join("copy.safetensors"), &weights, &BTreeMap::new());
    assert!(matches!(copy, Err(Error::UnsupportedType { .. })));
}

#[test]
fn other_kinds_of_file_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let error = SafetensorsFile::open(&path).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        error
    };
    for (name, content) in [
        ("model.pth", b"PK\x03\x04\x00\x00\x08\x08\x00\x00".as_slice()),
        ("renamed.safetensors", b"PK\x03\x04\x00\x00\x08\x08\x00\x00"),
        ("old.pt", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 "),
        ("odd.ckpt", b"whatever it is"),
        ("empty.bin", b""),
    ] {
        assert!(matches!(open(name, content), Error::Pickle { .. }), "{name}");
    }
    let error = open("m.gguf", b"GGUF\x03\x00\x00\x00");
    assert!(error.to_string().contains("it is a GGUF file"), "{error}");
    let error = open("cut.gguf", b"\0\0");
    assert!(error.to_string().contains("does not begin as GGUF files do"), "{error}");
    let error = open(
        "lfs.safetensors",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00",
    );
    assert!(error.to_string().contains("git lfs pull"), "{error}");
    let error = open("page.safetensors", b"\n<!DOCTYPE html><html>");
    assert!(error.to_string().contains("web page"), "{error}");
    assert!(matches!(open("empty.safetensors", b""), Error::Malformed { .. }));
    // A true file whose header length looks like a pickle's first bytes.
    let path = folder.path().join("good.safetensors");
    fs::write(&path, bytes(&format!("{{}}{}", " ".repeat(0x280 - 2)), 0)).unwrap();
    assert_eq!(SafetensorsFile::open(&path).unwrap().names(), [""; 0]);
    assert!(matches!(
        SafetensorsFile::open(folder.path()),
        Err(Error::Malformed { .. })
    ));
}

#[test]
fn an_index_must_be_true_and_stay_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("in");
    fs::create_dir(&here).unwrap();
    let a = BTreeMap::from([("a".to_owned(), Tensor::from_f32(&[1], &[1.0]))]);
    file::save(here.join("1.safetensors"), &a, &BTreeMap::new()).unwrap();
    file::save(folder.path().join("out.safetensors"), &a, &BTreeMap::new()).unwrap();
    let path = here.join("x.safetensors.index.json");
    for (index, words) in [
        (
            r#"{"weight_map": {"a": "2.safetensors"}}"#,
            "lists `2.safetensors`, which is not in its folder",
        ),
        (
            r#"{"weight_map": {"b": "1.safetensors"}}"#,
            "tensor `b` is not in `1.safetensors`",
        ),
        (r#"{"weight_map": {"a": "../out.safetensors"}}"#, "in its own folder"),
        (r#"{"weight_map": {"a": "..\\out.safetensors"}}"#, "in its own folder"),
        (r#"{"weight_map": {"a": "/etc/passwd"}}"#, "in its own folder"),
        (r#"{"weight_map": {"a": "C:x.safetensors"}}"#, "in its own folder"),
        (r#"{"weight_map": {"a": "1.safetensors\u0000"}}"#, "in its own folder"),
        (r#"{"weight_map": {"a": ".."}}"#, "in its own folder"),
        (r#"{"weight_map": {"a": ""}}"#, "in its own folder"),
        (r#"{"weight_map": {"a": "1.bin"}}"#, "in its own folder"),
        (
            r#"{"weight_map": {"a": "1.safetensors", "a": "1.safetensors"}}"#,
            "`a` is there twice",
        ),
        (r#"{"weight_map": {"a": 1}}"#, "`a`: invalid type"),
        (r#"{"weight_map": []}"#, "invalid type: sequence"),
        ("{}", "missing field `weight_map`"),
        ("", "bad JSON"),
    ] {
        fs::write(&path, index).unwrap();
        let error = Sharded::open(&path).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains("x.safetensors.index.json"),
            "{index}: {error}"
        );
    }
    assert!(parse_index(b"{\"\xff\": 1}").unwrap_err().contains("not UTF-8"));
    let deep = format!("{{\"metadata\": {}", "[".repeat(1_000_000));
    assert!(parse_index(deep.as_bytes()).unwrap_err().contains("nests deeper"));
}

const PIECES: [&[u8]; 12] = [
    b"-1",
    b"18446744073709551615",
    b"9223372036854775808",
    b"1e999",
    b"null",
    b"{",
    b"]",
    b"\"",
    b"\\u0000",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\"__metadata__\":{},",
    b"0,",
];

fn mutate(random: &mut Random, file: &mut Vec<u8>) {
    // A header of the right length again: without it, few mutations get past the first check.
    random.mutate(file, &PIECES, |random, file| {
        if file.len() > 30 {
            let data = random.below(20).min(file.len() - 8);
            let length = (file.len() - 8 - data) as u64;
            file[..8].copy_from_slice(&length.to_le_bytes());
        }
    });
}

#[test]
fn mutations_of_a_header_never_panic_and_what_passes_is_sound() {
    let mut random = Random(0x5EED);
    let mut passed = 0;
    for _ in 0..20_000 {
        let mut file = bytes(TWO, 11);
        mutate(&mut random, &mut file);
        let Ok(header) = parse_header(&file, file.len() as u64) else {
            continue;
        };
        passed += 1;
        for (name, entry) in &header.entries {
            assert!(
                entry.range.start <= entry.range.end && entry.range.end <= file.len() as u64,
                "{name}"
            );
            if let Some(info) = entry.info() {
                assert_eq!(
                    info.checked_bytes(),
                    Some((entry.range.end - entry.range.start) as usize),
                    "{name}"
                );
            }
        }
        // Types that the reference does not know make it refuse the file.
        if header.entries.values().all(|e| e.dtype.is_some()) {
            safetensors::SafeTensors::deserialize(&file).expect("the reference accepts what we accept");
        }
    }
    assert!(
        passed > 50,
        "only {passed} mutations passed: they test nothing but the first check"
    );
}

#[test]
fn mutations_of_mapped_files_and_json_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let index = r#"{"metadata":{"total_size":19},"weight_map":{"a":"m.safetensors","b":"m.safetensors"}}"#;
    let rule = r#"{"rule":"splitmix64-u24-v1","seed":1,"tensors":{"a":[[2,3],0.0,1.5],"b":[[],1,0]}}"#;
    let mut random = Random(0xF11E);
    for _ in 0..3000 {
        let mut file = bytes(TWO, 11);
        mutate(&mut random, &mut file);
        fs::write(&path, &file).unwrap();
        if let Ok(weights) = SafetensorsFile::open(&path) {
            for name in weights.names() {
                if let Ok(tensor) = weights.tensor(&name) {
                    tensor.to_f32().unwrap();
                    let _ = (tensor.to_u32(), tensor.rows(0..1));
                }
            }
        }
        let mut file = index.as_bytes().to_vec();
        mutate(&mut random, &mut file);
        let _ = parse_index(&file);
        let mut file = rule.as_bytes().to_vec();
        mutate(&mut random, &mut file);
        if let Ok(weights) = RuleWeights::parse_json(&file) {
            for name in weights.names() {
                // A mutated size may be honest and huge: memory is then the limit, and not what is tested here.
                if weights.info(&name).is_some_and(|i| i.bytes() < 1 << 20) {
                    weights.tensor(&name).unwrap();
                }
            }
        }
    }
}
