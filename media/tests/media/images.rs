//! Pictures in, compared with what Pillow made (`tests/data/make.py`).

use std::fs;
use std::path::{Path, PathBuf};

use kinora_media::{Error, Image, centre_crop, cover_size, read_image, resize_bicubic, resize_lanczos};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The source of `make.py`.
fn source() -> Image {
    let (width, height) = (45, 31);
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                let value = if x < 20 {
                    x * 37 + y * 101 + c * 59 + x * y * 7
                } else {
                    x * 5 + y * 3 + c * 40
                };
                rgb.push((value % 256) as f32 / 255.0);
            }
        }
    }
    Image { width, height, rgb }
}

fn bytes(image: &Image) -> Vec<u8> {
    image.rgb.iter().map(|v| (v * 255.0).round() as u8).collect()
}

#[test]
fn lanczos_is_pillows() {
    for (width, height) in [(20, 14), (64, 48), (45, 10), (13, 31)] {
        let wanted = read_image(&data(&format!("lanczos_{width}x{height}.png"))).unwrap();
        let found = resize_lanczos(&source(), width, height);
        assert_eq!((found.width, found.height), (width, height));
        assert_eq!(bytes(&found), bytes(&wanted), "{width}x{height}");
    }
    let same = resize_lanczos(&source(), 45, 31);
    assert_eq!(same, source());
}

#[test]
fn bicubic_is_torchs() {
    for (width, height) in [(20, 14), (64, 48)] {
        let wanted = fs::read(data(&format!("bicubic_{width}x{height}.i16"))).unwrap();
        let found = resize_bicubic(&source(), width, height);
        assert_eq!(wanted.len(), found.rgb.len() * 2);
        for (wanted, found) in wanted.chunks(2).zip(&found.rgb) {
            let wanted = f32::from(i16::from_le_bytes([wanted[0], wanted[1]])) / 10000.0;
            assert!((wanted - found).abs() < 1e-4, "{wanted} {found}");
        }
    }
}

#[test]
fn covering_and_cropping() {
    let image = source();
    assert_eq!(cover_size(&image, 90, 32), (90, 62));
    assert_eq!(cover_size(&image, 10, 31), (45, 31));
    let crop = centre_crop(&image, 20, 30).unwrap();
    assert_eq!(crop.rgb.len(), 20 * 30 * 3);
    assert_eq!(crop.rgb[..3], image.rgb[12 * 3..13 * 3]);
    assert!(centre_crop(&image, 46, 30).is_none());
}

#[test]
fn orientation_is_applied() {
    for name in ["turned.jpg", "turned.webp"] {
        let image = read_image(&data(name)).unwrap();
        assert_eq!((image.width, image.height), (64, 32), "{name}");
        let pixel = |x: usize| &image.rgb[(16 * 64 + x) * 3..][..3];
        assert!(pixel(8)[0] > 0.95 && pixel(8)[2] < 0.05, "{:?}", pixel(8));
        assert!(pixel(56)[2] > 0.95 && pixel(56)[0] < 0.05, "{:?}", pixel(56));
    }
}

#[test]
fn transparency_lies_over_black() {
    let image = read_image(&data("alpha.png")).unwrap();
    let first: Vec<f32> = image.rgb.chunks(3).map(|p| p[0]).collect();
    assert_eq!(first, [1.0, 0.2, 0.0, 1.0]);
}

#[test]
fn bad_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.png");
    let refused = |path: &Path| read_image(path).unwrap_err();
    assert!(matches!(refused(&path), Error::Io { .. }));

    fs::write(&path, "no picture").unwrap();
    assert!(refused(&path).to_string().contains("PNG, JPEG or WebP"));

    for name in ["turned.jpg", "turned.webp", "lanczos_64x48.png"] {
        let whole = fs::read(data(name)).unwrap();
        for length in [whole.len() / 2, 40, 12] {
            fs::write(&path, &whole[..length]).unwrap();
            // A JPEG that breaks off in its data is shown as far as it goes; no crash is what
            // matters.
            if let Err(error) = read_image(&path) {
                assert!(error.to_string().contains("picture.png"));
            }
        }
    }

    // 60000 x 60000 pixels, says the header.
    let mut bomb = Vec::new();
    let mut encoder = png::Encoder::new(&mut bomb, 60_000, 60_000);
    encoder.set_color(png::ColorType::Rgb);
    drop(encoder.write_header().unwrap());
    fs::write(&path, &bomb).unwrap();
    let error = refused(&path).to_string();
    assert!(error.contains("too large"), "{error}");
}
