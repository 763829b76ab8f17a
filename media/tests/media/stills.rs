//! WebP, GIF, PNG and OpenEXR, as their own readers see them.

use std::fs::{self, File};
use std::path::Path;

use crate::common::{FRAMES, clip, decode, options, psnr, samples, write};
use kinora_media::{Image, Options, Rational, read_metadata};

fn same_metadata(path: &Path, options: &Options) {
    let found = read_metadata(path).unwrap();
    assert_eq!(found, options.metadata, "{}", path.display());
}

/// All frames of an animated WebP by the decoder of libwebp, and their times in ms.
fn read_webp(path: &Path) -> (Vec<f32>, Vec<i32>) {
    let bytes = fs::read(path).unwrap();
    let decoded = webp::AnimDecoder::new(&bytes).decode().unwrap();
    assert!(decoded.has_animation());
    let mut rgb = Vec::new();
    let mut times = Vec::new();
    for frame in decoded.get_frames(0..decoded.len()).unwrap() {
        times.push(frame.get_time_ms());
        let size = frame.get_layout().bytes_per_pixel() as usize;
        for pixel in frame.get_image().chunks_exact(size) {
            rgb.extend(pixel[..3].iter().map(|&v| f32::from(v) / 255.0));
        }
    }
    (rgb, times)
}

#[test]
fn animated_webp() {
    let folder = tempfile::tempdir().unwrap();
    let frames = clip(63, 47, FRAMES);
    for (quality, least) in [(100, 50.0), (90, 33.0)] {
        let path = folder.path().join(format!("clip_{quality}.WEBP"));
        let mut options = options(63, 47);
        options.quality = quality;
        write(&path, &options, &frames).unwrap();
        same_metadata(&path, &options);
        let (decoded, times) = read_webp(&path);
        // The end of each frame: 62.5 ms apart, rounded.
        assert_eq!(times, [63, 125, 188, 250, 313, 375, 438, 500, 563]);
        let psnr = psnr(&samples(&frames), &decoded);
        assert!(psnr > least, "{quality}: {psnr}");
        let bytes = fs::read(&path).unwrap();
        let size = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
        assert_eq!(size as usize + 8, bytes.len());
    }
}

#[test]
fn animated_gif() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.gif");
    let frames = clip(64, 48, FRAMES);
    let options = options(64, 48);
    write(&path, &options, &frames).unwrap();
    same_metadata(&path, &options);
    let mut reader = gif::DecodeOptions::new();
    reader.set_color_output(gif::ColorOutput::RGBA);
    let mut reader = reader.read_info(File::open(&path).unwrap()).unwrap();
    let (mut rgb, mut delays) = (Vec::new(), Vec::new());
    while let Some(frame) = reader.read_next_frame().unwrap() {
        delays.push(frame.delay);
        let pixels = frame.buffer.chunks_exact(4);
        rgb.extend(pixels.flat_map(|p| [p[0], p[1], p[2]].map(|v| f32::from(v) / 255.0)));
    }
    assert_eq!(reader.repeat(), gif::Repeat::Infinite);
    // 6.25 hundredths each: 56 in all.
    assert_eq!(delays, [6, 7, 6, 6, 6, 7, 6, 6, 6]);
    let psnr_here = psnr(&samples(&frames), &rgb);
    println!("GIF: {psnr_here:.1} dB");
    assert!(psnr_here > 34.0, "{psnr_here}");
    if let Some(decoded) = decode(&path, 128) {
        assert!(psnr(&rgb, &decoded) > 50.0);
    }
}

fn read_png(path: &Path) -> (Vec<f32>, png::BitDepth) {
    let file = std::io::BufReader::new(File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    let rgb = match info.bit_depth {
        png::BitDepth::Sixteen => bytes
            .chunks_exact(2)
            .map(|b| f32::from(u16::from_be_bytes([b[0], b[1]])) / 65535.0)
            .collect(),
        _ => bytes.iter().map(|&v| f32::from(v) / 255.0).collect(),
    };
    (rgb, info.bit_depth)
}

fn greatest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m, (a, b)| m.max((a - b).abs()))
}

#[test]
fn png_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let frames = clip(64, 48, FRAMES);
    for (name, first, bits) in [
        ("a/", "a/frame_00001.png", 8),
        ("b.png", "b/frame_00001.png", 16),
        ("c_%03d.png", "c_001.png", 16),
    ] {
        let path = folder.path().join(name);
        let mut options = options(64, 48);
        options.bits = Some(bits);
        let written = write(&path, &options, &frames).unwrap();
        assert_eq!(written.files.len(), FRAMES);
        assert_eq!(written.files[0], folder.path().join(first));
        let sizes = written.files.iter().map(|f| f.metadata().unwrap().len());
        assert_eq!(written.bytes, sizes.sum::<u64>());
        for (file, frame) in written.files.iter().zip(&frames) {
            let (rgb, depth) = read_png(file);
            assert_eq!(depth as u8, bits);
            let step = if bits == 8 { 255.0 } else { 65535.0 };
            assert!(greatest(&rgb, &frame.rgb) <= 0.501 / step);
            same_metadata(file, &options);
        }
        if name != "b.png" {
            same_metadata(&path, &options);
        }
    }
    // Three sequences and nothing temporary.
    assert_eq!(folder.path().read_dir().unwrap().count(), 2 + FRAMES);
}

#[test]
fn one_png_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("still.png");
    let mut options = options(64, 48);
    options.frames = Some(1);
    let frames = clip(64, 48, 2);
    let written = write(&path, &options, &frames[..1]).unwrap();
    assert_eq!(written.files, [path.as_path()]);
    assert!(greatest(&read_png(&path).0, &frames[0].rgb) <= 0.501 / 255.0);
    options.overwrite = true;
    let two = write(&path, &options, &frames).unwrap_err().to_string();
    assert!(two.contains("a second frame"), "{two}");
}

#[test]
fn openexr_sequences_are_linear() {
    use exr::prelude::*;
    let folder = tempfile::tempdir().unwrap();
    let frames = clip(64, 48, 2);
    let linear = |v: f32| {
        if v <= 0.04045 {
            v / 12.92
        } else {
            ((v + 0.055) / 1.055).powf(2.4)
        }
    };
    for (bits, error) in [(16, 5e-4), (32, 1e-6)] {
        let path = folder.path().join(format!("clip{bits}.exr"));
        let mut options = options(64, 48);
        options.bits = Some(bits);
        options.fps = Rational::new(24000, 1001).unwrap();
        let written = write(&path, &options, &frames).unwrap();
        for (file, frame) in written.files.iter().zip(&frames) {
            same_metadata(file, &options);
            let image = read_first_flat_layer_from_file(file).unwrap();
            let attributes = &image.layer_data.attributes;
            assert_eq!(attributes.frames_per_second, Some((24000, 1001)));
            assert!(image.attributes.chromaticities.is_some());
            for (c, name) in ["R", "G", "B"].into_iter().enumerate() {
                let mut channels = image.layer_data.channel_data.list.iter();
                let channel = channels.find(|ch| ch.name.eq(name)).unwrap();
                let half = matches!(channel.sample_data, FlatSamples::F16(_));
                assert_eq!(half, bits == 16);
                let found: Vec<f32> = channel.sample_data.values_as_f32().collect();
                let wanted: Vec<f32> = frame.rgb.chunks(3).map(|p| linear(p[c])).collect();
                assert!(greatest(&found, &wanted) < error);
            }
        }
    }
}

#[test]
fn a_contact_sheet() {
    let folder = tempfile::tempdir().unwrap();
    let frames = clip(16, 12, 5);
    let borrowed: Vec<_> = frames.iter().map(Image::frame).collect();
    let sheet = kinora_media::contact_sheet(&borrowed, 3).unwrap();
    assert_eq!((sheet.width, sheet.height), (3 * 20 + 4, 2 * 16 + 4));
    // The first pixel of the fifth frame: second row, second column.
    let at = ((4 + 16) * sheet.width + 4 + 20) * 3;
    assert_eq!(sheet.rgb[at..at + 3], frames[4].rgb[..3]);
    let path = folder.path().join("sheet.png");
    kinora_media::save_png(&path, &sheet, false).unwrap();
    assert!(greatest(&read_png(&path).0, &sheet.rgb) <= 0.501 / 255.0);
    assert!(kinora_media::save_png(&path, &sheet, false).is_err());
    assert!(kinora_media::contact_sheet(&[], 3).is_none());
}
