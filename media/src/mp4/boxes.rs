//! The boxes of `moov`.

use std::collections::BTreeMap;

use crate::options::Rational;

/// The name space of our free-form metadata items.
pub(super) const MEAN: &[u8] = b"org.kinora";

/// A box: size, type, body.
pub(super) fn boxed(kind: &[u8; 4], body: &[&[u8]]) -> Vec<u8> {
    let size = 8 + body.iter().map(|part| part.len()).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    // Only `mdat` can pass 4 GiB, and it is not written here.
    out.extend_from_slice(&(size as u32).to_be_bytes());
    out.extend_from_slice(kind);
    for part in body {
        out.extend_from_slice(part);
    }
    out
}

/// A box with version 0 and flags.
fn full(kind: &[u8; 4], flags: u32, body: &[&[u8]]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(body.len() + 1);
    let flags = flags.to_be_bytes();
    parts.push(&flags);
    parts.extend_from_slice(body);
    boxed(kind, &parts)
}

fn be32(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// The unit of a transformation matrix.
const MATRIX: [u32; 9] = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000];

/// What `moov` tells.
pub(super) struct Index<'a> {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) fps: Rational,
    /// The `av1C` record.
    pub(super) configuration: &'a [u8],
    /// Size of each sample in bytes. They follow each other as one chunk.
    pub(super) sizes: &'a [u32],
    /// Numbers of the key frames, from 1.
    pub(super) keys: &'a [u32],
    /// Where the first sample starts in the file.
    pub(super) offset: u32,
    pub(super) metadata: &'a BTreeMap<String, String>,
}

impl Index<'_> {
    /// Ticks a second and ticks a frame: a multiple of the rate of at least 10000, as players
    /// round times to ticks.
    fn clock(&self) -> (u32, u32) {
        let times = 10_000u32.div_ceil(self.fps.num());
        (self.fps.num() * times, self.fps.den().saturating_mul(times))
    }

    /// The whole `moov` box. Dates are left at zero, so that the same clip is the same file.
    pub(super) fn moov(&self) -> Vec<u8> {
        let (scale, delta) = self.clock();
        let duration = (self.sizes.len() as u32).saturating_mul(delta);
        let mvhd = full(
            b"mvhd",
            0,
            &[
                &be32(&[0, 0, scale, duration, 0x10000]),
                &[1, 0],  // volume
                &[0; 10], // reserved
                &be32(&MATRIX),
                &[0; 24],
                &be32(&[2]), // next track
            ],
        );
        let tkhd = full(
            b"tkhd",
            7, // enabled, in the movie, in the preview
            &[
                &be32(&[0, 0, 1, 0, duration]),
                &[0; 16], // reserved, layer, group, volume 0
                &be32(&MATRIX),
                &be32(&[u32::from(self.width) << 16, u32::from(self.height) << 16]),
            ],
        );
        let mdhd = full(
            b"mdhd",
            0,
            &[&be32(&[0, 0, scale, duration]), &[0x55, 0xc4, 0, 0]], // language "und"
        );
        let hdlr = full(b"hdlr", 0, &[&[0; 4], b"vide", &[0; 12], b"Kinora\0"]);
        let url = full(b"url ", 1, &[]); // in this file
        let dref = full(b"dref", 0, &[&be32(&[1]), &url]);
        let minf = boxed(
            b"minf",
            &[
                &full(b"vmhd", 1, &[&[0; 8]]),
                &boxed(b"dinf", &[&dref]),
                &self.stbl(delta),
            ],
        );
        let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
        let trak = boxed(b"trak", &[&tkhd, &mdia]);
        boxed(b"moov", &[&mvhd, &trak, &self.udta()])
    }

    fn stbl(&self, delta: u32) -> Vec<u8> {
        let count = self.sizes.len() as u32;
        let mut name = [0u8; 32];
        let compressor = b"Kinora (rav1e)";
        name[0] = compressor.len() as u8;
        name[1..=compressor.len()].copy_from_slice(compressor);
        // BT.709 primaries, transfer and matrix; limited range.
        let colr = boxed(b"colr", &[b"nclx", &[0, 1, 0, 1, 0, 1, 0]]);
        let av01 = boxed(
            b"av01",
            &[
                &[0, 0, 0, 0, 0, 0, 0, 1], // data reference 1
                &[0; 16],
                &self.width.to_be_bytes(),
                &self.height.to_be_bytes(),
                &be32(&[0x0048_0000, 0x0048_0000, 0]), // 72 dpi, reserved
                &[0, 1],                               // one frame a sample
                &name,
                &[0, 0x18, 0xff, 0xff], // depth 24
                &boxed(b"av1C", &[self.configuration]),
                &colr,
                &boxed(b"pasp", &[&be32(&[1, 1])]),
            ],
        );
        let table = |kind, values: &[u32]| full(kind, 0, &[&be32(&[values.len() as u32]), &be32(values)]);
        boxed(
            b"stbl",
            &[
                &full(b"stsd", 0, &[&be32(&[1]), &av01]),
                &full(b"stts", 0, &[&be32(&[1, count, delta])]),
                &table(b"stss", self.keys),
                &full(b"stsc", 0, &[&be32(&[1, 1, count, 1])]),
                &full(b"stsz", 0, &[&be32(&[0, count]), &be32(self.sizes)]),
                &table(b"stco", &[self.offset]),
            ],
        )
    }

    /// Metadata as iTunes items: the comment under its well-known name, everything else
    /// free-form, which ffprobe, exiftool and mediainfo show by key.
    fn udta(&self) -> Vec<u8> {
        let data = |text: &str| full(b"data", 1, &[&[0; 4], text.as_bytes()]); // 1: UTF-8
        let mut items = boxed(b"\xa9too", &[&data(concat!("Kinora ", env!("CARGO_PKG_VERSION")))]);
        for (key, value) in self.metadata {
            items.extend(if key == "comment" {
                boxed(b"\xa9cmt", &[&data(value)])
            } else {
                let mean = full(b"mean", 0, &[MEAN]);
                let name = full(b"name", 0, &[key.as_bytes()]);
                boxed(b"----", &[&mean, &name, &data(value)])
            });
        }
        let hdlr = full(b"hdlr", 0, &[&[0; 4], b"mdir", b"appl", &[0; 9]]);
        let meta = full(b"meta", 0, &[&hdlr, &boxed(b"ilst", &[&items])]);
        boxed(b"udta", &[&meta])
    }
}
