//! GGUF files: those of the gguf package, our own, and broken ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kinora_quant::file::{self, GgufFile, GgufValue, Writer, parse_gguf};
use kinora_quant::{DType, Error, Tensor, TensorInfo, Weights};
use random::Random;

mod random;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn fixture() -> PathBuf {
    data("types.gguf")
}

#[test]
fn a_file_of_the_gguf_package_is_read() {
    let file = GgufFile::open(fixture()).unwrap();
    let conv = file.info("conv.f32").unwrap();
    assert_eq!((conv.dtype, conv.shape.as_slice()), (DType::F32, &[3, 2, 1, 2, 2][..]));
    let ids = file.tensor("ids.i32").unwrap();
    assert_eq!(ids.to_u32().unwrap(), [0, 1, 2, 3, 4]);
    for dtype in DType::BLOCKS {
        let name = format!("block.{}", dtype.name().to_lowercase());
        let info = file.info(&name).unwrap();
        assert_eq!(
            (info.dtype, info.shape),
            (dtype, vec![3, 2 * dtype.format().block]),
            "{name}"
        );
        assert!(matches!(
            file.tensor(&name).unwrap().data,
            std::borrow::Cow::Borrowed(_)
        ));
    }
    let metadata = file.metadata();
    for (key, value) in [
        ("general.architecture", "wan"),
        ("kinora.bool", "true"),
        ("kinora.float", "0.25"),
        ("kinora.int16", "-3"),
        ("kinora.int64", "-1099511627776"),
        ("kinora.text", "naïve ☂"),
        ("kinora.uint64", "18446744073709551615"),
    ] {
        assert_eq!(metadata[key], value);
    }
    assert!(!metadata.contains_key("kinora.array.of.texts"));
    let texts = file.value("kinora.array.of.texts").unwrap().elements().unwrap();
    assert_eq!(
        texts.map(|t| t.text().unwrap()).collect::<Vec<_>>(),
        ["one", "", "drei"]
    );
    let floats = file.value("kinora.array.of.floats").unwrap().elements().unwrap();
    assert_eq!(floats.map(|f| f.float().unwrap()).collect::<Vec<_>>(), [1.5, -2.0]);
    assert_eq!(file.value("kinora.float64").unwrap().float(), Some(1e300));
    assert!(
        file::open(fixture()).unwrap().info("conv.f32").is_some(),
        "`open` tells it by its magic number"
    );
}

#[test]
fn types_that_are_not_read_are_listed() {
    let file = GgufFile::open(data("listed.gguf")).unwrap();
    for (name, type_name) in [("block.iq2_xxs", "IQ2_XXS"), ("block.tq1_0", "TQ1_0")] {
        let listing = file.listing(name).unwrap();
        assert_eq!(
            (listing.type_name.as_str(), listing.dtype, listing.shape),
            (type_name, None, vec![3, 512])
        );
        assert!(file.info(name).is_none());
        let error = file.tensor(name).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::UnsupportedType { .. }), "{text}");
        assert!(
            [type_name, name, "listed.gguf", "Q4_K, Q5_K"]
                .iter()
                .all(|w| text.contains(w)),
            "{text}"
        );
    }
}

/// The gguf package writes keys and tensors in the order in which they are added, and the fixture's are sorted.
#[test]
fn our_writer_writes_the_bytes_that_the_gguf_package_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.gguf");
    let file = GgufFile::open(fixture()).unwrap();
    let metadata = file
        .keys()
        .map(|key| (key.to_owned(), GgufValue::from(file.value(key).unwrap())));
    let infos = file.names().into_iter().map(|n| (n.clone(), file.info(&n).unwrap()));
    let mut writer = Writer::create_gguf(&path, &infos.collect(), &metadata.collect()).unwrap();
    for name in file.names().iter().rev() {
        writer.write(name, &file.tensor(name).unwrap().data).unwrap();
    }
    writer.finish().unwrap();
    assert!(fs::read(&path).unwrap() == fs::read(fixture()).unwrap());
}

#[test]
fn values_and_shapes_survive_a_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    let tensor = Tensor::new(DType::Q8_0, &[2, 32], vec![7; 68]).unwrap();
    let infos = BTreeMap::from([
        (
            "empty".to_owned(),
            TensorInfo {
                dtype: DType::F16,
                shape: vec![0, 5],
            },
        ),
        ("q".to_owned(), tensor.info.clone()),
        (
            "scalar".to_owned(),
            TensorInfo {
                dtype: DType::F32,
                shape: vec![],
            },
        ),
        (
            "six".to_owned(),
            TensorInfo {
                dtype: DType::BF16,
                shape: vec![1; 6],
            },
        ),
    ]);
    let metadata: BTreeMap<String, GgufValue> = BTreeMap::from([
        ("a.bytes".into(), [1u8, 255].as_slice().into()),
        ("a.flag".into(), false.into()),
        ("a.text".into(), "words".into()),
        ("a.texts".into(), GgufValue::texts(&["x", "yy"])),
        // Written over the shape that the tensor is stored with.
        ("comfy.gguf.orig_shape.q".into(), [1i32, 2, 1, 32].as_slice().into()),
    ]);
    let mut writer = Writer::create_gguf(&path, &infos, &metadata).unwrap();
    writer.write("q", &tensor.data).unwrap();
    writer.write("six", &[1, 2]).unwrap();
    writer.write("scalar", &4f32.to_le_bytes()).unwrap();
    writer.write("empty", &[]).unwrap();
    writer.finish().unwrap();
    let file = GgufFile::open(&path).unwrap();
    assert_eq!(file.names(), ["empty", "q", "scalar", "six"]);
    assert_eq!(file.info("q").unwrap().shape, [1, 2, 1, 32]);
    assert_eq!(file.tensor("q").unwrap().data, tensor.data);
    assert_eq!(file.info("six").unwrap().shape, [1; 6]);
    assert_eq!(file.tensor("scalar").unwrap().to_f32().unwrap(), [4.0]);
    assert_eq!(file.metadata()["a.text"], "words");
    for (dtype, shape, words) in [
        (DType::U8, vec![4], "U8, which a GGUF file cannot hold"),
        (DType::Int8, vec![4, 4], "which a GGUF file cannot hold"),
        (DType::Q4K, vec![4, 128], "no whole blocks of Q4_K"),
        (DType::F32, vec![usize::MAX, 2], "too large"),
    ] {
        let infos = BTreeMap::from([("t".to_owned(), TensorInfo { dtype, shape })]);
        let error = Writer::create_gguf(&path, &infos, &BTreeMap::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains(words) && error.contains("`t`"), "{error}");
    }
}

/// A file of these keys (name, type, bytes) and tensors (name, dimensions, type, offset) with 64 bytes of data.
fn bytes(keys: &[(&str, u32, &[u8])], tensors: &[(&str, &[u64], u32, u64)]) -> Vec<u8> {
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((keys.len() as u64).to_le_bytes());
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    for (name, kind, bytes) in keys {
        text(&mut out, name);
        out.extend(kind.to_le_bytes());
        out.extend(*bytes);
    }
    for (name, dimensions, kind, offset) in tensors {
        text(&mut out, name);
        out.extend((dimensions.len() as u32).to_le_bytes());
        out.extend(dimensions.iter().flat_map(|d| d.to_le_bytes()));
        out.extend(kind.to_le_bytes());
        out.extend(offset.to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(32) + 64, 0);
    out
}

#[test]
fn headers_that_break_a_rule_are_refused_with_the_name() {
    let one = |dimensions: &[u64], kind: u32, offset: u64| bytes(&[], &[("t", dimensions, kind, offset)]);
    let text = |length: u64| length.to_le_bytes();
    let array = |element: u32, count: u64| [&element.to_le_bytes()[..], &count.to_le_bytes()].concat();
    let deep = [array(9, 1).repeat(5), array(4, 0)].concat();
    let count = |at: usize, value: u64| {
        let mut file = one(&[16], 0, 0);
        file[at..at + 8].copy_from_slice(&value.to_le_bytes());
        file
    };
    let version = |version: [u8; 4]| [b"GGUF".as_slice(), &version, &[0; 16]].concat();
    let good = one(&[16], 0, 0);
    parse_gguf(&good, good.len() as u64).unwrap();
    for (file, words) in [
        (b"GGUX".to_vec(), "does not begin"),
        (b"GG".to_vec(), "cut off"),
        (version([1, 0, 0, 0]), "version 1; versions 2 and 3"),
        (version([4, 0, 0, 0]), "version 4"),
        (version([0, 0, 0, 3]), "big-endian"),
        (count(8, u64::MAX), "announces 18446744073709551615 tensors"),
        (count(16, 1_000_000), "announces 1000000 keys"),
        (count(16, 65_536), "key ``: it is there twice"),
        (
            bytes(&[("k", 4, &[0; 4]), ("k", 4, &[0; 4])], &[]),
            "key `k`: it is there twice",
        ),
        (bytes(&[("k", 13, &[])], &[]), "key `k`: value type 13"),
        (
            bytes(&[("k", 8, &text(u64::MAX))], &[]),
            "key `k`: 18446744073709551615 bytes are announced",
        ),
        (bytes(&[("k", 9, &array(10, u64::MAX))], &[]), "size overflows"),
        (bytes(&[("k", 9, &array(0, 1 << 40))], &[]), "bytes are announced"),
        (bytes(&[("k", 9, &array(8, u64::MAX))], &[]), "bytes are announced"),
        (bytes(&[("k", 9, &array(9, u64::MAX))], &[]), "key `k`: "),
        (bytes(&[("k", 9, &deep)], &[]), "more than 4 deep"),
        (bytes(&[("general.alignment", 4, &[0; 4])], &[]), "no power of two"),
        (
            bytes(&[("general.alignment", 4, &[48, 0, 0, 0])], &[]),
            "no power of two",
        ),
        (bytes(&[("general.alignment", 8, &text(0))], &[]), "no power of two"),
        (
            bytes(&[], &[("t", &[4], 0, 0), ("t", &[4], 0, 32)]),
            "tensor `t`: is there twice",
        ),
        (
            bytes(&[], &[("t", &[16], 0, 0), ("u", &[8], 0, 32)]),
            "tensor `t`: it overlaps",
        ),
        (one(&[1; 17], 0, 0), "`t`: it has 17 dimensions"),
        (one(&[16], 0, 8), "no multiple of 32"),
        (one(&[32], 0, 0), "end past the file's"),
        (one(&[16], 0, 32), "end past the file's"),
        (one(&[16], 0, u64::MAX - 31), "end past the file's"),
        (one(&[1 << 63, 2], 0, 0), "too large to exist"),
        (one(&[0, 1 << 32, 1 << 32], 0, 0), "too large to exist"),
        (one(&[256, 1 << 58], 12, 0), "too large to exist"),
        (one(&[16], 2, 0), "no whole blocks of 32 elements of Q4_0"),
        (
            bytes(&[("comfy.gguf.orig_shape.t", 4, &[0; 4])], &[("t", &[16], 0, 0)]),
            "original shape is no list",
        ),
        (
            bytes(&[("comfy.gguf.orig_shape.t", 9, &array(5, 0))], &[("t", &[16], 0, 0)]),
            "no reshaping",
        ),
    ] {
        let error = parse_gguf(&file, file.len() as u64).expect_err(words);
        assert!(error.contains(words) && error.len() < 600, "{words}: {error}");
    }
    // A type that nobody knew when this was written is listed, whatever lies there.
    let file = bytes(&[], &[("t", &[7], 99, 0), ("u", &[8], 0, 32)]);
    let header = parse_gguf(&file, file.len() as u64).unwrap();
    let entry = &header.entries["t"];
    assert_eq!(
        (
            entry.type_name.as_str(),
            entry.dtype,
            entry.range.end - entry.range.start
        ),
        ("ggml type 99", None, 32)
    );
}

#[test]
fn every_truncation_is_refused() {
    let whole = fs::read(fixture()).unwrap();
    // The last tensor's padding may be missing.
    for length in (0..whole.len() - 32).step_by(3) {
        assert!(parse_gguf(&whole[..length], length as u64).is_err(), "{length}");
    }
}

const PIECES: [&[u8]; 6] = [
    &[0xff; 8],
    &[0; 8],
    &[9, 0, 0, 0, 9, 0, 0, 0],
    &[0, 0, 0, 0, 0, 0, 0, 0x80],
    &[1, 0, 0, 0],
    b"general.alignment",
];

#[test]
fn mutations_never_panic_and_what_passes_is_sound() {
    let whole = fs::read(fixture()).unwrap();
    let tokenizer =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tokenizer/spiece.gguf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let mut random = Random(0x6667);
    let mut passed = 0;
    for round in 0..20_000 {
        let mut file = whole.clone();
        // Another number in the header: there is where the parser works.
        random.mutate(&mut file, &PIECES, |random, file| {
            let at = random.below(2048).min(file.len().saturating_sub(1));
            if let Some(byte) = file.get_mut(at) {
                *byte = byte.wrapping_add(1);
            }
        });
        let Ok(header) = parse_gguf(&file, file.len() as u64) else {
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
        if round % 10 == 0 {
            fs::write(&path, &file).unwrap();
            let file = GgufFile::open(&path).unwrap();
            let _ = file.metadata();
            for key in file.keys() {
                if let Some(elements) = file.value(key).and_then(|v| v.elements()) {
                    assert!(elements.count() < 1 << 20);
                }
            }
        }
    }
    assert!(passed > 500, "only {passed} mutations passed");
    for _ in 0..300 {
        let mut file = tokenizer.clone();
        random.mutate(&mut file, &PIECES, |random, file| {
            let at = random.below(file.len());
            file[at] ^= 0x55;
        });
        fs::write(&path, &file).unwrap();
        if let Ok(file) = GgufFile::open(&path) {
            let _ = file.tensor("spiece_model");
        }
    }
}
