//! Files that are as they should be: written, read, found, renamed, merged, identified.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kinora_quant::file::{self, Merged, Renamed, SafetensorsFile, Sharded, Writer};
use kinora_quant::{DType, Error, Result, Tensor, TensorInfo, Weights};

type Tensors = BTreeMap<String, Tensor<'static>>;

fn tensors(names: &[&str]) -> Tensors {
    names
        .iter()
        .map(|n| ((*n).to_owned(), Tensor::from_f32(&[2], &[n.len() as f32, 1.0])))
        .collect()
}

fn remarks() -> BTreeMap<String, String> {
    BTreeMap::from([("format".to_owned(), "pt".to_owned())])
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Several types, an odd length, a scalar, an empty tensor and a name that needs escapes.
fn mixed() -> Tensors {
    let mut all = tensors(&["z"]);
    all.insert(
        "odd \"bytes\"\n".to_owned(),
        Tensor::new(DType::U8, &[3], vec![1, 2, 3]).unwrap(),
    );
    all.insert(
        "half".to_owned(),
        Tensor::new(DType::BF16, &[1, 1], vec![0x80, 0x3f]).unwrap(),
    );
    all.insert(
        "ids".to_owned(),
        Tensor::new(DType::I64, &[1], 9i64.to_le_bytes().to_vec()).unwrap(),
    );
    all.insert("scalar".to_owned(), Tensor::from_f32(&[], &[4.0]));
    all.insert("empty".to_owned(), Tensor::from_f32(&[0, 7], &[]));
    all
}

#[test]
fn what_is_written_is_read_back_by_us_and_by_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let all = mixed();
    file::save(&path, &all, &remarks()).unwrap();
    assert_eq!(names_in(folder.path()), ["a.safetensors"]);

    let bytes = fs::read(&path).unwrap();
    let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(reference.len(), all.len());
    let ours = SafetensorsFile::open(&path).unwrap();
    assert_eq!(ours.names(), all.names());
    assert_eq!(ours.metadata(), remarks());
    for (name, tensor) in &all {
        let read = ours.tensor(name).unwrap();
        assert_eq!((&read.info, &read.data), (&tensor.info, &tensor.data), "{name}");
        assert!(
            matches!(read.data, std::borrow::Cow::Borrowed(_)),
            "a mapped tensor is not copied"
        );
        assert_eq!(reference.tensor(name).unwrap().data(), &*tensor.data, "{name}");
        let start = ours.entries()[name].range.start;
        assert_eq!(
            start % tensor.info.dtype.row_bytes(1).unwrap() as u64,
            0,
            "{name} is aligned"
        );
        assert_eq!(&bytes[start as usize..][..tensor.data.len()], &*tensor.data);
    }

    // The same tensors give the same bytes, and an existing file is replaced.
    file::save(&path, &ours, &remarks()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    // The old mapping still sees the old file.
    assert_eq!(ours.tensor("scalar").unwrap().to_f32().unwrap(), [4.0]);
}

#[test]
fn an_unfinished_file_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let infos = BTreeMap::from([
        (
            "a".to_owned(),
            TensorInfo {
                dtype: DType::U8,
                shape: vec![2],
            },
        ),
        (
            "b".to_owned(),
            TensorInfo {
                dtype: DType::U8,
                shape: vec![1],
            },
        ),
    ]);
    let begin = || Writer::create(&path, &infos, &BTreeMap::new()).unwrap();
    let refused = |result: Result<()>, words: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("a.safetensors"), "{error}");
    };

    let mut writer = begin();
    writer.write("b", &[3]).unwrap();
    refused(writer.write("b", &[3]), "`b` was not announced, or is written twice");
    refused(writer.write("a", &[1]), "`a` takes 2 bytes, not 1");
    drop(writer);
    let mut writer = begin();
    writer.write("b", &[3]).unwrap();
    refused(writer.finish(), "`a` has not been written");
    assert_eq!(names_in(folder.path()), [""; 0]);

    let mut writer = begin();
    writer.write("b", &[3]).unwrap();
    writer.write("a", &[1, 2]).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        &*SafetensorsFile::open(&path).unwrap().tensor("a").unwrap().data,
        [1, 2]
    );
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    for (name, shape) in [
        ("__metadata__", vec![1]),
        ("a", vec![1; 17]),
        ("a", vec![usize::MAX, 2]),
        ("a", vec![1 << 62]),
    ] {
        let infos = BTreeMap::from([(
            name.to_owned(),
            TensorInfo {
                dtype: DType::F32,
                shape,
            },
        )]);
        assert!(matches!(
            Writer::create(&path, &infos, &BTreeMap::new()),
            Err(Error::Malformed { .. })
        ));
    }
    let lost = folder.path().join("no/such/folder/a.safetensors");
    let error = file::save(&lost, &tensors(&["a"]), &BTreeMap::new()).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == lost), "{error}");
}

/// Two shards and their index in `folder`.
fn shard(folder: &Path) {
    file::save(folder.join("m-1.safetensors"), &tensors(&["a", "hidden"]), &remarks()).unwrap();
    file::save(folder.join("m-2.safetensors"), &tensors(&["bb"]), &BTreeMap::new()).unwrap();
    let index = r#"{"metadata": {"total_size": 24}, "weight_map": {"a": "m-1.safetensors", "bb": "m-2.safetensors"}}"#;
    fs::write(folder.join("m.safetensors.index.json"), index).unwrap();
}

#[test]
fn shards_are_one_set() {
    let folder = tempfile::tempdir().unwrap();
    shard(folder.path());
    let sharded = Sharded::open(folder.path().join("m.safetensors.index.json")).unwrap();
    assert_eq!(sharded.names(), ["a", "bb"]);
    assert_eq!(sharded.shards().len(), 2);
    assert_eq!(sharded.tensor("bb").unwrap().to_f32().unwrap(), [2.0, 1.0]);
    assert_eq!(sharded.metadata(), remarks());
    let error = sharded.tensor("hidden").unwrap_err().to_string();
    assert!(
        error.contains("m.safetensors.index.json") && error.contains("`hidden`"),
        "{error}"
    );
}

#[test]
fn a_path_leads_to_what_it_means() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let refused = |words: &[&str]| {
        let error = file::open(folder.path()).err().unwrap().to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{error}");
    };
    refused(&["it is empty"]);
    fs::write(at("config.json"), "{}").unwrap();
    refused(&["no .safetensors or .gguf file", "config.json"]);
    fs::write(at("pytorch_model.bin"), "PK\x03\x04").unwrap();
    refused(&["pytorch_model.bin", "pickled"]);
    file::save(at("one.safetensors"), &tensors(&["one"]), &BTreeMap::new()).unwrap();
    assert_eq!(file::open(folder.path()).unwrap().names(), ["one"]);
    assert_eq!(file::open(at("one.safetensors")).unwrap().names(), ["one"]);
    shard(folder.path());
    refused(&["several", "one.safetensors", "m.safetensors.index.json"]);
    assert_eq!(file::open(at("m.safetensors.index.json")).unwrap().names(), ["a", "bb"]);
    fs::remove_file(at("one.safetensors")).unwrap();
    assert_eq!(file::open(folder.path()).unwrap().names(), ["a", "bb"]);
    fs::remove_file(at("m.safetensors.index.json")).unwrap();
    refused(&["several", "m-1.safetensors", "index.json file is missing"]);
    let error = file::open(at("absent")).err().unwrap().to_string();
    assert!(error.contains("absent: cannot find it"), "{error}");
}

#[test]
fn other_names_for_the_same_tensors() {
    let stored = tensors(&["model.a", "model.b", "extra"]);
    let rule = |n: &str| n.strip_prefix("model.").map(str::to_owned);
    let renamed = Renamed::by_rule(&stored, rule).unwrap();
    assert_eq!(renamed.names(), ["a", "b"]);
    assert_eq!(renamed.stored("a"), Some("model.a"));
    assert_eq!(renamed.tensor("a").unwrap().to_f32().unwrap(), [7.0, 1.0]);
    assert_eq!(renamed.rows("b", 1..2).unwrap().to_f32().unwrap(), [1.0]);
    assert!(renamed.info("extra").is_none() && renamed.tensor("extra").is_err() && renamed.tensor("model.a").is_err());

    assert!(matches!(
        Renamed::by_rule(&stored, |_| Some("x".to_owned())),
        Err(Error::Duplicate { .. })
    ));
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert!(matches!(
        Renamed::new(&stored, map(&[("a", "model.a"), ("b", "model.a")])),
        Err(Error::Duplicate { .. })
    ));
    assert!(matches!(
        Renamed::new(&stored, map(&[("a", "model.c")])),
        Err(Error::MissingTensor { .. })
    ));
    assert_eq!(Renamed::new(stored, map(&[("a", "extra")])).unwrap().names(), ["a"]);
}

#[test]
fn several_files_as_one() {
    let merged = Merged::new(vec![Box::new(tensors(&["a"])), Box::new(tensors(&["bb", "ccc"]))]).unwrap();
    assert_eq!(merged.names(), ["a", "bb", "ccc"]);
    assert_eq!(merged.tensor("ccc").unwrap().to_f32().unwrap(), [3.0, 1.0]);
    assert!(matches!(merged.tensor("d"), Err(Error::MissingTensor { .. })));
    let twice = Merged::new(vec![Box::new(tensors(&["a"])), Box::new(tensors(&["a"]))]);
    assert!(matches!(twice, Err(Error::Duplicate { name, .. }) if name == "a"));
}

#[test]
fn a_fingerprint_tells_files_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    file::save(&path, &tensors(&["a"]), &BTreeMap::new()).unwrap();
    let first = file::fingerprint(&path).unwrap();
    assert!(
        first.starts_with("sampled-sha256:") && first.len() == 15 + 64,
        "{first}"
    );
    assert_eq!(file::fingerprint(folder.path()).unwrap(), first);
    file::save(&path, &tensors(&["b"]), &BTreeMap::new()).unwrap();
    assert_ne!(file::fingerprint(&path).unwrap(), first);

    // Larger than all samples together: the ends count, a byte between two samples does not.
    let mut large = vec![7u8; 9 << 20];
    let mut print = |position: usize| {
        large[position] ^= 1;
        fs::write(&path, &large).unwrap();
        large[position] ^= 1;
        file::fingerprint(&path).unwrap()
    };
    let prints = [print(0), print((9 << 20) - 1), print(100_000), print(100_001)];
    assert!(prints[0] != prints[1] && prints[1] != prints[2] && prints[0] != prints[2]);
    assert_eq!(prints[2], prints[3]);

    let shards = tempfile::tempdir().unwrap();
    shard(shards.path());
    let first = file::fingerprint(shards.path()).unwrap();
    file::save(
        shards.path().join("m-2.safetensors"),
        &tensors(&["cc"]),
        &BTreeMap::new(),
    )
    .unwrap();
    assert_ne!(file::fingerprint(shards.path()).unwrap(), first);
}
