//! Files appear whole or not at all.

use std::fs;
use std::path::Path;

use crate::common::{clip, options, write};
use kinora_media::{Error, Frame, create, read_metadata};

/// One name for each writer that needs no other program.
const NAMES: [&str; 9] = [
    "a.mp4", "a.webm", "a.mkv", "a.webp", "a.gif", "a.png", "a.exr", "a_%d.png", "folder/",
];

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_dropped_sink_leaves_nothing() {
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        let frames = clip(32, 32, 2);
        let mut sink = create(&folder.path().join(name), &options(32, 32)).unwrap();
        if name != "a_%d.png" {
            let temporary = entries(folder.path());
            assert_eq!(temporary.len(), 1, "{name}");
            assert!(temporary[0].starts_with('.') && temporary[0].contains("kinora-tmp"));
            sink.write(&frames[0].frame()).unwrap();
            assert_eq!(entries(folder.path()), temporary, "{name}");
        }
        drop(sink);
        assert!(entries(folder.path()).is_empty(), "{name}");
    }
}

#[test]
fn a_pattern_leaves_whole_files() {
    let folder = tempfile::tempdir().unwrap();
    let frames = clip(32, 32, 2);
    let path = folder.path().join("a_%d.png");
    let mut sink = create(&path, &options(32, 32)).unwrap();
    sink.write(&frames[0].frame()).unwrap();
    sink.write(&frames[1].frame()).unwrap();
    drop(sink);
    assert_eq!(entries(folder.path()), ["a_1.png", "a_2.png"]);
    let error = create(&path, &options(32, 32)).err().unwrap();
    assert!(matches!(error, Error::Exists { .. }));
}

#[test]
fn what_exists_stays_unless_it_may_go() {
    let frames = clip(32, 32, 2);
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut options = options(32, 32);
        let first = write(&path, &options, &frames).unwrap();
        let before = fs::read(&first.files[0]).unwrap();

        options.metadata.insert("prompt".into(), "another".into());
        let error = create(&path, &options).err().unwrap();
        assert!(matches!(error, Error::Exists { .. }), "{name}: {error}");
        assert!(error.to_string().contains("--force"));

        options.overwrite = true;
        drop(create(&path, &options).unwrap());
        assert_eq!(fs::read(&first.files[0]).unwrap(), before, "{name}");

        write(&path, &options, &frames).unwrap();
        assert_eq!(read_metadata(&first.files[0]).unwrap()["prompt"], "another");
        assert!(entries(folder.path()).iter().all(|n| !n.starts_with('.')));
    }
}

#[test]
fn a_folder_keeps_what_is_not_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip");
    fs::create_dir(&path).unwrap();
    let frames = clip(32, 32, 3);
    write(&path, &options(32, 32), &frames).unwrap(); // empty: no question
    fs::write(path.join("notes.txt"), "mine").unwrap();
    let mut options = options(32, 32);
    options.overwrite = true;
    write(&path, &options, &frames[..2]).unwrap();
    assert_eq!(entries(&path), ["frame_00001.png", "frame_00002.png", "notes.txt"]);
}

#[test]
fn a_file_that_appears_meanwhile_costs_neither() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gif");
    let frames = clip(32, 32, 1);
    let mut sink = create(&path, &options(32, 32)).unwrap();
    sink.write(&frames[0].frame()).unwrap();
    fs::write(&path, "another's").unwrap();
    let error = sink.finish().unwrap_err();
    let Error::Appeared { kept, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(fs::read(&path).unwrap(), b"another's");
    assert!(read_metadata(&kept).unwrap().contains_key("kinora"));
}

#[test]
fn places_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for name in NAMES {
        for parent in ["missing", "file"] {
            let path = folder.path().join(parent).join(name);
            let error = create(&path, &options(32, 32)).err().unwrap();
            assert!(matches!(error, Error::Io { .. }), "{name}: {error}");
            let text = error.to_string();
            assert!(text.contains(parent), "{text}");
            assert!(
                text.contains("make the folder") || text.contains("not a folder"),
                "{text}"
            );
        }
    }
    fs::create_dir(folder.path().join("a.mp4")).unwrap();
    let error = create(&folder.path().join("a.mp4"), &options(32, 32)).err().unwrap();
    assert!(error.to_string().contains("it is a folder"));
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let made = create(&folder.path().join("a.mp4"), &options(32, 32));
    match made.err() {
        Some(error) => assert!(error.to_string().contains("you may write to"), "{error}"),
        None => println!("skipped: this user may write everywhere"),
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn frames_are_checked_and_a_failure_is_final() {
    let folder = tempfile::tempdir().unwrap();
    let good = clip(32, 32, 1);
    let path = folder.path().join("a.webp");
    for (width, height, samples) in [(32, 31, 32 * 31 * 3), (32, 32, 32 * 32 * 4)] {
        let mut sink = create(&path, &options(32, 32)).unwrap();
        sink.write(&good[0].frame()).unwrap();
        let rgb = vec![0.0; samples];
        let error = sink
            .write(&Frame {
                width,
                height,
                rgb: &rgb,
            })
            .unwrap_err();
        assert!(matches!(error, Error::FrameSize { index: 1, .. }));
        assert!(entries(folder.path()).is_empty());
        assert!(sink.write(&good[0].frame()).is_err());
        let error = sink.finish().unwrap_err().to_string();
        assert!(error.contains("nothing was kept"), "{error}");
    }
    let sink = create(&path, &options(32, 32)).unwrap();
    assert!(sink.finish().unwrap_err().to_string().contains("no frame"));
    assert!(entries(folder.path()).is_empty());
}

/// A true full disk, where the system has a device for it and the test may link to it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let error = fs::write("/dev/full", b"x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let error = Error::Io {
        path: "clip.mp4".into(),
        action: "write the frames",
        source: error,
    };
    assert!(error.to_string().contains("free some space"), "{error}");
}
