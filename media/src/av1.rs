//! AV1 by rav1e: frames in, temporal units out.

use std::path::Path;

use rav1e::prelude::{
    ChromaSamplePosition, ChromaSampling, ColorDescription, ColorPrimaries, Config, Context, EncoderConfig,
    EncoderStatus, FrameType, MatrixCoefficients, PixelRange, Rational as Av1Ratio, TransferCharacteristics,
};

use crate::color::Yuv420;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::options::Options;
use crate::sink::{Sink, Written};
use crate::temp::TempFile;

/// What is shown at one moment: a sample of MP4, a block of Matroska. AV1 gives each shown frame
/// one unit, in the order of display, whatever it refers to inside.
pub(crate) struct Unit {
    /// OBUs without the temporal delimiter, which neither container wants.
    pub(crate) data: Vec<u8>,
    /// A decoder can start here.
    pub(crate) key: bool,
    /// Number of the frame, from 0.
    pub(crate) index: u64,
}

/// A container that takes units as they come.
pub(crate) trait Muxer: Send {
    /// Appends a unit.
    fn unit(&mut self, unit: &Unit) -> std::io::Result<()>;
    /// Writes what can be written only at the end, and hands the file back.
    fn end(self: Box<Self>) -> std::io::Result<TempFile>;
}

/// Frames to a container.
pub(crate) struct Av1Sink {
    context: Context<u8>,
    yuv: Yuv420,
    width: usize,
    muxer: Box<dyn Muxer>,
    path: std::path::PathBuf,
}

/// Pixels of a small picture (about 360x360). Up to here there is time for a search that saves a
/// quarter of the bytes (0.1 s a frame on one core); above, the fastest preset takes about 1 s a
/// frame of 832x480, half of what the next one does. Larger pictures get tiles of about this size.
const SMALL: usize = 1 << 17;

fn config(options: &Options) -> EncoderConfig {
    let pixels = options.width * options.height;
    let fps = options.fps.as_f64();
    let mut config = EncoderConfig::with_speed_preset(if pixels <= SMALL { 8 } else { 10 });
    config.width = options.width;
    config.height = options.height;
    config.time_base = Av1Ratio {
        num: options.fps.den().into(),
        den: options.fps.num().into(),
    };
    config.chroma_sampling = ChromaSampling::Cs420;
    config.chroma_sample_position = ChromaSamplePosition::Vertical;
    config.pixel_range = PixelRange::Limited;
    config.color_description = Some(ColorDescription {
        color_primaries: ColorPrimaries::BT709,
        transfer_characteristics: TransferCharacteristics::BT709,
        matrix_coefficients: MatrixCoefficients::BT709,
    });
    // A key frame every five seconds at least, for seeking; at a change of scene too, but not
    // twice in half a second.
    config.set_key_frame_interval((fps / 2.0).ceil() as u64, (fps * 5.0).ceil() as u64);
    // Quality 100 stops short of index 0, which is AV1's lossless mode with other transforms.
    config.quantizer = 5 + (100 - usize::from(options.quality)) * 5 / 2;
    // By the size alone: the same clip gives the same file on every machine.
    config.tiles = (pixels / SMALL).next_power_of_two().min(16);
    config
}

impl Av1Sink {
    /// An encoder in front of a muxer.
    pub(crate) fn new(path: &Path, options: &Options, muxer: Box<dyn Muxer>) -> Result<Self> {
        let context = Config::new()
            .with_encoder_config(config(options))
            .new_context()
            .map_err(|e| failure(path, e))?;
        Ok(Self {
            context,
            yuv: Yuv420::default(),
            width: options.width,
            muxer,
            path: path.to_owned(),
        })
    }

    /// Refuses what AV1 by rav1e cannot carry. Among that are widths that are no multiple of 8
    /// and odd heights: with such widths what decoders show of rav1e 0.8's streams gets worse at
    /// the right edge with each frame (seen with dav1d at 57, 58, 60, 62, 100 and 102 pixels;
    /// compare its issues 731 and 2757; `tests/media/video.rs` watches the worst frame). The
    /// models' own sizes are multiples of 16.
    pub(crate) fn check(path: &Path, options: &Options) -> Result<()> {
        options.bits_of(path, 8, &[8])?;
        if !options.width.is_multiple_of(8) || !options.height.is_multiple_of(2) {
            return Err(Error::unsupported(
                path,
                format!("a clip of {}x{} pixels", options.width, options.height),
                format!(
                    "AV1 (rav1e) needs a width that is a multiple of 8 (such as {}) and an even \
                     height; .webp, .gif, .png and .exr take any size",
                    options.width.next_multiple_of(8)
                ),
            ));
        }
        options.sides_within(path, "AV1 (rav1e)", 16..=65535)
    }

    /// Passes on all units that are finished.
    fn drain(&mut self) -> Result<()> {
        loop {
            match self.context.receive_packet() {
                Ok(packet) => {
                    let data = without_delimiter(packet.data)
                        .ok_or_else(|| failure(&self.path, "it gave a unit that is no sequence of OBUs"))?;
                    let unit = Unit {
                        data,
                        key: packet.frame_type == FrameType::KEY,
                        index: packet.input_frameno,
                    };
                    self.muxer
                        .unit(&unit)
                        .map_err(Error::io(&self.path, "write the frames"))?;
                }
                Err(EncoderStatus::Encoded) => {}
                Err(EncoderStatus::NeedMoreData | EncoderStatus::LimitReached) => return Ok(()),
                Err(other) => return Err(failure(&self.path, other)),
            }
        }
    }
}

fn failure(path: &Path, message: impl ToString) -> Error {
    Error::Encoder {
        path: path.to_owned(),
        encoder: "AV1 (rav1e)",
        message: message.to_string(),
    }
}

impl Sink for Av1Sink {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        self.yuv.convert(frame);
        let mut picture = self.context.new_frame();
        let chroma = self.width.div_ceil(2);
        picture.planes[0].copy_from_raw_u8(&self.yuv.y, self.width, 1);
        picture.planes[1].copy_from_raw_u8(&self.yuv.u, chroma, 1);
        picture.planes[2].copy_from_raw_u8(&self.yuv.v, chroma, 1);
        self.context.send_frame(picture).map_err(|e| failure(&self.path, e))?;
        self.drain()
    }

    fn finish(mut self: Box<Self>) -> Result<Written> {
        self.context.flush();
        self.drain()?;
        let file = self
            .muxer
            .end()
            .map_err(Error::io(&self.path, "write the end of the file"))?;
        Ok(Written::file(self.path, file.commit()?))
    }
}

/// One OBU: its type and where it ends.
fn obu(data: &[u8]) -> Option<(u8, usize, usize)> {
    let first = *data.first()?;
    let (kind, extended, sized) = (first >> 3 & 15, first >> 2 & 1, first >> 1 & 1);
    let mut at = 1 + usize::from(extended);
    if sized == 0 {
        return Some((kind, at.min(data.len()), data.len()));
    }
    let mut size = 0usize;
    for shift in (0..56).step_by(7) {
        let byte = *data.get(at)?;
        at += 1;
        size |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let end = at.checked_add(size)?;
            return (end <= data.len()).then_some((kind, at, end));
        }
    }
    None
}

/// Removes the temporal delimiter that rav1e puts in front.
fn without_delimiter(mut data: Vec<u8>) -> Option<Vec<u8>> {
    let (kind, _, end) = obu(&data)?;
    if kind == 2 {
        data.drain(..end);
    }
    Some(data)
}

/// The configuration record (`av1C`, also Matroska's private data) for a stream whose first unit
/// is this (AV1 Codec ISO Media File Format Binding 2.3). Made from the sequence header itself;
/// rav1e's own record leaves the header out, which some players want, and the chroma position.
pub(crate) fn configuration(first_unit: &[u8]) -> Option<Vec<u8>> {
    let mut rest = first_unit;
    let header = loop {
        let (kind, start, end) = obu(rest)?;
        if kind == 1 {
            break (&rest[..end], &rest[start..end]);
        }
        rest = &rest[end..];
    };
    let (whole, payload) = header;
    // seq_profile 3, still_picture 1, reduced_still_picture_header 1, timing_info_present 1,
    // initial_display_delay_present 1, operating_points_cnt_minus_1 5, operating_point_idc 12,
    // seq_level_idx 5, seq_tier 1 if the level is over 7: all known to lie at fixed places here,
    // because `config` asks for neither a still picture nor timing information.
    let bits = payload
        .get(..4)?
        .iter()
        .fold(0u32, |all, &byte| all << 8 | u32::from(byte));
    let (profile, flags) = (bits >> 29, bits >> 25 & 0xf);
    if flags != 0 {
        return None;
    }
    let level = bits >> 3 & 31;
    let tier = if level > 7 { bits >> 2 & 1 } else { 0 };
    let mut record = vec![
        0x81, // marker, version 1
        (profile << 5 | level) as u8,
        // 4:2:0 of 8 bits: subsampling in both directions, chroma position 1 (vertical).
        (tier << 7) as u8 | 0b1101,
        0, // no initial presentation delay
    ];
    record.extend_from_slice(whole);
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_obus_are_refused() {
        for data in [
            &[][..],
            &[0x12],
            &[0x12, 0x05, 0],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(obu(data).is_none() && configuration(data).is_none());
        }
        assert_eq!(without_delimiter(vec![0x12, 0, 0x32, 0]).unwrap(), [0x32, 0]);
    }
}
