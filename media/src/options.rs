//! What is to be written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Frames per second as a fraction of two positive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rational {
    num: u32,
    den: u32,
}

impl Rational {
    /// `num / den`, reduced; `None` if either is 0.
    pub fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 {
            return None;
        }
        let (mut a, mut b) = (num, den);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Some(Self {
            num: num / a,
            den: den / a,
        })
    }

    /// The nearest fraction: whole numbers, NTSC rates (23.976, 29.97, 59.94), else thousandths.
    /// `None` unless it is a number between 0.001 and 1000.
    pub fn from_f64(fps: f64) -> Option<Self> {
        if !(0.001..=1000.0).contains(&fps) {
            return None;
        }
        let whole = fps.round();
        if (fps - whole).abs() < 1e-6 {
            return Self::new(whole as u32, 1);
        }
        let ntsc = (fps * 1.001).round();
        if (fps - ntsc / 1.001).abs() < 5e-3 && (fps * 1.001 - ntsc).abs() < 5e-3 {
            return Self::new(ntsc as u32 * 1000, 1001);
        }
        Self::new((fps * 1000.0).round() as u32, 1000)
    }

    /// The numerator of the reduced fraction.
    pub fn num(self) -> u32 {
        self.num
    }

    /// The denominator of the reduced fraction.
    pub fn den(self) -> u32 {
        self.den
    }

    /// Frames per second.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// The time at which frame `index` starts, in units of `1 / per_second` s, to the nearest.
    /// Rounding the start and not the length keeps a long clip from drifting.
    pub(crate) fn start(self, index: u64, per_second: u64) -> u64 {
        let num = u128::from(self.num);
        let time = u128::from(index) * u128::from(per_second) * u128::from(self.den);
        ((time + num / 2) / num) as u64
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 {
            write!(f, "{}", self.num)
        } else {
            write!(f, "{}/{}", self.num, self.den)
        }
    }
}

/// Reads `16`, `23.976` or `24000/1001`; the error says what is expected.
impl FromStr for Rational {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let fraction = text.split_once('/').map_or_else(
            || text.trim().parse().ok().and_then(Self::from_f64),
            |(num, den)| Self::new(num.trim().parse().ok()?, den.trim().parse().ok()?),
        );
        fraction
            .filter(|f| (0.001..=1000.0).contains(&f.as_f64()))
            .ok_or_else(|| format!("'{text}' is no frame rate; give frames per second such as 16 or 24000/1001"))
    }
}

/// How a video file's pictures are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// AV1 by rav1e, in MP4, WebM or Matroska.
    Av1,
    /// H.264 through ffmpeg (libx264), in MP4, Matroska or QuickTime.
    H264,
    /// H.265 through ffmpeg (libx265), in MP4, Matroska or QuickTime.
    H265,
    /// ProRes 422, 10 bit, through ffmpeg (prores_ks), in QuickTime or Matroska.
    ProRes,
}

/// What is to be written; [`Options::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Frames per second. Image sequences carry it as EXR's `framesPerSecond` only.
    pub fps: Rational,
    /// How many frames will come, if that is known; a hint, not a promise. With it MP4's index is
    /// put in front, so that players on a web page start at once, and `clip.png` or `clip.exr`
    /// with one frame is one file and not a folder.
    pub frames: Option<usize>,
    /// Texts that go into the file, by key: Kinora's own JSON under `kinora`, and `prompt`,
    /// `comment`. A key is a lower-case letter followed by lower-case letters, digits and `_`, at
    /// most 31 in all (what every format can carry); a value has no control characters
    /// other than tab and line ends.
    pub metadata: BTreeMap<String, String>,
    /// Replace what is there. Of a folder only the frames are replaced (see [`crate::create`]).
    pub overwrite: bool,
    /// 0 (small) to 100 (faithful). At 100 WebP is lossless. Image sequences are always lossless,
    /// GIF always does its best.
    pub quality: u8,
    /// `None`: AV1 for MP4, WebM and Matroska, ProRes for `.mov`. To be left `None` for images.
    pub codec: Option<Codec>,
    /// Bits of a sample: PNG 8 (default) or 16; OpenEXR 16 (half, default) or 32 (f32). Video,
    /// WebP and GIF take 8 only, but ProRes makes its 10 bits from the full precision.
    pub bits: Option<u8>,
}

impl Options {
    /// A clip of that size (pixels) and rate: quality 90, no metadata, nothing overwritten.
    pub fn new(width: usize, height: usize, fps: Rational) -> Self {
        Self {
            width,
            height,
            fps,
            frames: None,
            metadata: BTreeMap::new(),
            overwrite: false,
            quality: 90,
            codec: None,
            bits: None,
        }
    }

    /// Refuses what no format can write.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        let size = 1..=65535;
        if !size.contains(&self.width) || !size.contains(&self.height) {
            return Err(Error::unsupported(
                path,
                format!("a clip of {}x{} pixels", self.width, self.height),
                "each side must be 1 to 65535",
            ));
        }
        if self.quality > 100 {
            return Err(Error::unsupported(
                path,
                format!("quality {}", self.quality),
                "give 0 to 100",
            ));
        }
        for (key, value) in &self.metadata {
            let good_key = key.len() <= 31
                && key.starts_with(|c: char| c.is_ascii_lowercase())
                && key
                    .bytes()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
            if !good_key {
                return Err(Error::unsupported(
                    path,
                    format!("metadata key '{key}'"),
                    "use a lower-case letter, then lower-case letters, digits and _, at most 31",
                ));
            }
            if value
                .chars()
                .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
            {
                return Err(Error::unsupported(
                    path,
                    format!("a control character in the metadata value of '{key}'"),
                    "remove it",
                ));
            }
        }
        Ok(())
    }

    /// The bits of a sample, if they are among those that the format can write.
    pub(crate) fn bits_of(&self, path: &Path, default: u8, allowed: &[u8]) -> Result<u8> {
        let bits = self.bits.unwrap_or(default);
        if allowed.contains(&bits) {
            return Ok(bits);
        }
        let allowed: Vec<String> = allowed.iter().map(u8::to_string).collect();
        Err(Error::unsupported(
            path,
            format!("{bits} bits a sample"),
            format!("this format takes {}", allowed.join(" or ")),
        ))
    }

    /// Refuses sides outside the range that a format can carry.
    pub(crate) fn sides_within(&self, path: &Path, what: &str, range: std::ops::RangeInclusive<usize>) -> Result<()> {
        if range.contains(&self.width) && range.contains(&self.height) {
            return Ok(());
        }
        Err(Error::unsupported(
            path,
            format!("a clip of {}x{} pixels", self.width, self.height),
            format!(
                "{what} takes sides of {} to {} pixels; choose another size or format",
                range.start(),
                range.end()
            ),
        ))
    }
}
