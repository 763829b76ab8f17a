//! Files that change while they are mapped: an error that names them, and no crash.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::Arc;

use kinora_quant::file::{self, GgufValue, Merged, Renamed, Writer};
use kinora_quant::{Error, Tensor, Weights};

/// More than any system's page.
const ELEMENTS: usize = 1 << 20;

fn tensors(name: &str) -> BTreeMap<String, Tensor<'static>> {
    BTreeMap::from([(
        name.to_owned(),
        Tensor::from_f32(&[4, ELEMENTS / 4], &vec![1.0; ELEMENTS]),
    )])
}

/// Cuts the file off after `length` bytes.
fn shorten(path: &Path, length: u64) {
    OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(length)
        .unwrap();
}

/// Reads everything through `weights`, which must be over `path`, now cut short.
fn assert_noticed(weights: &dyn Weights, path: &Path) {
    let mut out = vec![0; ELEMENTS * 4];
    for error in [
        weights.read_rows("a", 0..4, &mut out).unwrap_err(),
        weights.check().unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::Changed { path: p, .. } if p == path) && error.to_string().contains("a.tensors"),
            "{error}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_shrinks_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tensors");
    file::save(&path, &tensors("a"), &BTreeMap::new()).unwrap();
    let stored = || file::open(&path).unwrap();
    stored().check().unwrap();
    let merged = Merged::new(vec![stored(), Box::new(tensors("b"))]).unwrap();
    let wrapped: [Box<dyn Weights>; 4] = [
        stored(),
        Box::new(Renamed::by_rule(stored(), |n| Some(n.to_owned())).unwrap()),
        Box::new(merged),
        Box::new(Arc::new(stored())),
    ];
    shorten(&path, 8000);
    for weights in &wrapped {
        assert_noticed(weights, &path);
    }
    // What was there still reads, what is gone reads as zeros, from several threads at once.
    let weights = &wrapped[0];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let values = weights.tensor("a").unwrap().to_f32().unwrap();
                assert_eq!((values[0], values[ELEMENTS - 1]), (1.0, 0.0));
            });
        }
    });
    // A file of the old length again is not the old file.
    shorten(&path, 8000 + ELEMENTS as u64 * 4);
    assert!(matches!(weights.check(), Err(Error::Changed { .. })));
}

#[cfg(unix)]
#[test]
fn gguf_files_are_watched_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tensors");
    let all = tensors("a");
    let infos = all.iter().map(|(name, t)| (name.clone(), t.info.clone())).collect();
    let mut writer = Writer::create_gguf(
        &path,
        &infos,
        &BTreeMap::from([("k".to_owned(), GgufValue::from(1u32))]),
    )
    .unwrap();
    for part in all["a"].data.chunks(100_000) {
        writer.append("a", part).unwrap();
    }
    writer.finish().unwrap();
    let weights = file::open(&path).unwrap();
    assert_eq!(weights.tensor("a").unwrap().data, all["a"].data);
    shorten(&path, 4096);
    assert_noticed(&weights, &path);
}

#[test]
fn a_file_written_in_place_is_an_error_and_one_replaced_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tensors");
    file::save(&path, &tensors("a"), &BTreeMap::new()).unwrap();
    let weights = file::open(&path).unwrap();
    // The writer gives a new file the old one's name.
    file::save(&path, &tensors("a"), &BTreeMap::new()).unwrap();
    weights.check().unwrap();
    let weights = file::open(&path).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let error = weights.check().unwrap_err();
    assert!(error.to_string().contains("a.tensors: the file changed"), "{error}");
}

/// Faults that are not in a mapped file do what they did before: this very test is run again as a process that dies.
#[cfg(target_os = "linux")]
#[test]
fn other_faults_still_end_the_process() {
    use std::os::unix::process::ExitStatusExt;
    const CHILD: &str = "KINORA_TEST_FAULT";
    if std::env::var_os(CHILD).is_some() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tensors");
        file::save(&path, &tensors("a"), &BTreeMap::new()).unwrap();
        let _watched = file::open(&path).unwrap();
        let other = fs::File::open(&path).unwrap();
        // SAFETY: read only.
        let map = unsafe { memmap2::Mmap::map(&other) }.unwrap();
        shorten(&path, 0);
        std::process::exit(map[100_000].into());
    }
    let test = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "other_faults_still_end_the_process"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    const SIGBUS: i32 = 7;
    assert_eq!(test.status.signal(), Some(SIGBUS), "{test:?}");
}

#[test]
fn released_tensors_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tensors");
    file::save(&path, &tensors("a"), &BTreeMap::new()).unwrap();
    let stored = file::open(&path).unwrap();
    for _ in 0..2 {
        assert_eq!(stored.tensor("a").unwrap().to_f32().unwrap(), vec![1.0; ELEMENTS]);
        stored.release("a");
    }
    stored.release("b");
    #[cfg(unix)]
    {
        shorten(&path, 8000);
        stored.tensor("a").unwrap().to_f32().unwrap();
        stored.release("a");
        assert_noticed(&*stored, &path);
    }
}
