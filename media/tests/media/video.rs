//! MP4, WebM and Matroska, as ffmpeg sees them.

use std::path::Path;

use crate::common::{FRAMES, clip, decode, options, probe, psnr, run, samples, write};
use kinora_media::{Codec, Error, Rational, create, read_metadata};

/// Writes a clip and has ffprobe and ffmpeg look at it. Returns the worst frame's PSNR, if they
/// could: an encoder whose pictures part from the decoder's shows in the last ones.
fn check(name: &str, codec: Option<Codec>, width: usize, height: usize) -> Option<f64> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut options = options(width, height);
    options.codec = codec;
    options.frames = Some(FRAMES);
    let frames = clip(width, height, FRAMES);
    let written = write(&path, &options, &frames).unwrap();
    assert_eq!(written.path, path);
    assert_eq!(written.frames, FRAMES);
    assert_eq!(written.bytes, path.metadata().unwrap().len());
    // Nothing else is left behind.
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);

    let found = read_metadata(&path).unwrap();
    for (key, value) in &options.metadata {
        assert_eq!(found.get(key), Some(value), "{name}: {key}");
    }
    look(&path, &options.metadata["comment"], width, height);
    let four_two_two = codec == Some(Codec::ProRes) || name.ends_with(".mov");
    let chroma_row = if four_two_two { 0 } else { 128 };
    let decoded = decode(&path, chroma_row)?;
    assert_eq!(decoded.len(), frames.len() * frames[0].rgb.len());
    let decoded = decoded.chunks(frames[0].rgb.len());
    let each: Vec<f64> = frames
        .iter()
        .zip(decoded)
        .map(|(frame, decoded)| psnr(&frame.rgb, decoded))
        .collect();
    println!("{codec:?} in {name}, {width}x{height}: {each:.1?} dB");
    each.into_iter().reduce(f64::min)
}

/// What ffprobe must say.
fn look(path: &Path, comment: &str, width: usize, height: usize) {
    let Some(said) = probe(path) else { return };
    let has = |line: &str| {
        let lower = said.to_lowercase();
        assert!(lower.contains(&line.to_lowercase()), "no {line} in\n{said}");
    };
    has(&format!("streams.stream.0.width={width}\n"));
    has(&format!("streams.stream.0.height={height}\n"));
    has("color_range=\"tv\"");
    has("color_space=\"bt709\"");
    has("color_transfer=\"bt709\"");
    has("color_primaries=\"bt709\"");
    has("avg_frame_rate=\"16/1\"");
    has(&format!("nb_read_frames=\"{FRAMES}\""));
    has("format.duration=\"0.56"); // 9/16 s
    has(&format!("format.tags.comment=\"{comment}\""));
    has("format.tags.prompt=\"a red disc;");
    has("赤い円盤 🦊");
    has("format.tags.kinora=\"{\\\"seed\\\": 7");
}

#[test]
fn av1_in_mp4() {
    for (width, height) in [(64, 48), (56, 36), (72, 34)] {
        if let Some(psnr) = check("clip.mp4", None, width, height) {
            assert!(psnr > 34.0, "{psnr}");
        }
    }
}

#[test]
fn av1_in_webm_and_matroska() {
    for name in ["clip.webm", "clip.mkv"] {
        if let Some(psnr) = check(name, Some(Codec::Av1), 64, 48) {
            assert!(psnr > 34.0, "{psnr}");
        }
    }
}

/// Key frames start the clip and come at least every five seconds, the rest is predicted; the
/// packets' times are those of the frames; the index tells the same as the stream.
#[test]
fn a_long_clip_has_key_frames_and_true_times() {
    let folder = tempfile::tempdir().unwrap();
    let frames = clip(32, 32, 100);
    for name in ["clip.mp4", "clip.webm"] {
        let path = folder.path().join(name);
        let mut options = options(32, 32);
        options.quality = 50;
        write(&path, &options, &frames).unwrap();
        let arguments = [
            "-v",
            "warning",
            "-show_entries",
            "packet=pts_time,flags",
            "-of",
            "csv=p=0",
            "FILE",
        ];
        let Some(said) = run("ffprobe", &arguments, &path) else {
            continue;
        };
        let said = String::from_utf8(said).unwrap();
        let packets: Vec<&str> = said.lines().collect();
        assert_eq!(packets.len(), 100);
        let mut keys = Vec::new();
        for (i, packet) in packets.iter().enumerate() {
            let (time, flags) = packet.split_once(',').unwrap();
            let time: f64 = time.parse().unwrap();
            assert!((time - i as f64 / 16.0).abs() < 0.001, "{name} {i}: {time}");
            if flags.starts_with('K') {
                keys.push(i);
            }
        }
        assert_eq!(keys, [0, 80], "{name}");
        let decoded = decode(&path, 128).unwrap();
        assert!(psnr(&samples(&frames), &decoded) > 28.0);
        // Far below what single pictures would take.
        assert!(path.metadata().unwrap().len() < 30_000);
    }
}

#[test]
fn odd_rates() {
    let folder = tempfile::tempdir().unwrap();
    let frames = clip(32, 32, 5);
    for name in ["clip.mp4", "clip.webm"] {
        let path = folder.path().join(name);
        let mut options = options(32, 32);
        options.fps = "23.976".parse::<Rational>().unwrap();
        write(&path, &options, &frames).unwrap();
        if let Some(said) = probe(&path) {
            assert!(said.contains("r_frame_rate=\"24000/1001\""), "{said}");
        }
    }
}

#[test]
fn codecs_of_ffmpeg() {
    if run("ffmpeg", &["-version"], Path::new("")).is_none() {
        return;
    }
    for (name, codec, least) in [
        ("clip.mp4", Some(Codec::H264), 36.0),
        ("clip.mkv", Some(Codec::H264), 36.0),
        ("clip.mp4", Some(Codec::H265), 36.0),
        ("clip.mov", None, 40.0),
        ("clip.mkv", Some(Codec::ProRes), 40.0),
    ] {
        let psnr = check(name, codec, 64, 48).unwrap();
        assert!(psnr > least, "{name} {codec:?}: {psnr}");
    }
}

#[test]
fn what_a_video_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |name: &str, change: &dyn Fn(&mut kinora_media::Options)| {
        let mut options = options(64, 48);
        change(&mut options);
        let error = create(&folder.path().join(name), &options).err().unwrap();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    };
    refuse("a.mp4", &|o| o.width = 8);
    refuse("a.mp4", &|o| o.height = 0);
    refuse("a.webm", &|o| o.height = 47);
    refuse("a.webm", &|o| o.width = 60);
    refuse("a.mp4", &|o| o.bits = Some(16));
    refuse("a.mp4", &|o| o.quality = 101);
    refuse("a.mp4", &|o| o.codec = Some(Codec::ProRes));
    refuse("a.mov", &|o| o.codec = Some(Codec::Av1));
    refuse("a.webm", &|o| o.codec = Some(Codec::H264));
    refuse("a.gif", &|o| o.codec = Some(Codec::Av1));
    refuse("a.gif", &|o| o.fps = Rational::new(60, 1).unwrap());
    refuse("a.webp", &|o| o.width = 20_000);
    refuse("a.png", &|o| o.bits = Some(32));
    refuse("a.exr", &|o| o.bits = Some(8));
    refuse("a.avi", &|_| {});
    refuse("a", &|_| {});
    for (key, value) in [("Prompt", "x"), ("", "x"), ("a-b", "x"), ("prompt", "\0")] {
        refuse("a.mp4", &|o| {
            o.metadata.insert(key.into(), value.into());
        });
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}
