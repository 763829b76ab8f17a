//! What the tests share: a clip made by formula, and ffmpeg to look at files with.

use std::path::Path;
use std::process::Command;

use kinora_media::{Image, Options, Rational, Result, Written, create};

/// Frames of the test clip.
pub(crate) const FRAMES: usize = 9;

/// A gradient that moves, with a red disc on it.
pub(crate) fn clip(width: usize, height: usize, frames: usize) -> Vec<Image> {
    (0..frames)
        .map(|t| {
            let mut rgb = Vec::with_capacity(width * height * 3);
            for y in 0..height {
                for x in 0..width {
                    let (fx, fy) = (x as f32 / width as f32, y as f32 / height as f32);
                    let wave = 0.5 + 0.5 * ((fx * 2.0 + t as f32 * 0.06) * 3.0).sin();
                    let (dx, dy) = (fx - 0.2 - t as f32 * 0.06, (fy - 0.5) * 0.75);
                    // A soft edge, as a picture has.
                    let disc = ((0.15 - (dx * dx + dy * dy).sqrt()) * 20.0 + 0.5).clamp(0.0, 1.0);
                    let ground = [0.2 + 0.5 * wave, 0.3 + 0.4 * fy, 0.7 - 0.4 * wave];
                    let red = [0.9, 0.1, 0.1];
                    rgb.extend([0, 1, 2].map(|c| ground[c] + disc * (red[c] - ground[c])));
                }
            }
            Image { width, height, rgb }
        })
        .collect()
}

/// Options of a clip at 16 frames a second, with metadata that try every escape.
pub(crate) fn options(width: usize, height: usize) -> Options {
    let mut options = Options::new(width, height, Rational::new(16, 1).unwrap());
    for (key, value) in [
        (
            "prompt",
            "a red disc; \"moving\" = fast #1 \\ <b> & 赤い円盤 🦊\nsecond line",
        ),
        ("comment", "made by a test"),
        ("kinora", r#"{"seed": 7, "nested": {"a": [1, 2, "]]>"]}}"#),
    ] {
        options.metadata.insert(key.into(), value.into());
    }
    options
}

/// Writes a whole clip.
pub(crate) fn write(path: &Path, options: &Options, frames: &[Image]) -> Result<Written> {
    let mut sink = create(path, options)?;
    for frame in frames {
        sink.write(&frame.frame())?;
    }
    sink.finish()
}

/// Peak signal to noise over all samples, in dB, both in 0..=1.
pub(crate) fn psnr(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    -10.0 * (squares / a.len() as f64).max(1e-12).log10()
}

/// The frames' samples in one row.
pub(crate) fn samples(frames: &[Image]) -> Vec<f32> {
    frames.iter().flat_map(|f| f.rgb.iter().copied()).collect()
}

/// The program's standard output, or `None` with a printed word if there is no such program.
pub(crate) fn run(program: &str, arguments: &[&str], file: &Path) -> Option<Vec<u8>> {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|a| a.replace("FILE", file.to_str().unwrap()))
        .collect();
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program}: {words}");
            assert!(words.trim().is_empty(), "{program} complains: {words}");
            Some(output.stdout)
        }
        Err(_) => {
            println!("skipped: no {program} on the PATH");
            None
        }
    }
}

/// What ffprobe says of a file: `stream.key=value` and `format.tags.key="value"` lines.
pub(crate) fn probe(file: &Path) -> Option<String> {
    let arguments = [
        "-v",
        "warning",
        "-show_streams",
        "-show_format",
        "-count_frames",
        "-of",
        "flat",
        "FILE",
    ];
    run("ffprobe", &arguments, file).map(|out| String::from_utf8(out).unwrap())
}

/// All frames as ffmpeg decodes them, 0..=1. Chroma is on the left, and for 4:2:0 between rows
/// (`chroma_row` 128): this has to be told to older ones, which take it to be in the middle.
pub(crate) fn decode(file: &Path, chroma_row: u32) -> Option<Vec<f32>> {
    let scale = format!(
        "scale=in_color_matrix=bt709:in_range=tv:in_h_chr_pos=0:in_v_chr_pos={chroma_row}:\
         flags=accurate_rnd+full_chroma_int+full_chroma_inp+bicubic"
    );
    let source = ["-v", "warning", "-i", "FILE", "-vf", &scale];
    let result = "-fps_mode passthrough -f rawvideo -pix_fmt rgb24 -";
    let arguments: Vec<&str> = source.into_iter().chain(result.split(' ')).collect();
    let bytes = run("ffmpeg", &arguments, file)?;
    Some(bytes.iter().map(|&v| f32::from(v) / 255.0).collect())
}
