//! OpenEXR: linear light, Rec. 709 primaries.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, Write};

use exr::math::Vec2;
use exr::meta::MetaData;
use exr::meta::attribute::{AttributeValue, Chromaticities, Text};
use exr::prelude::{
    Compression, Encoding, Image, Layer, LayerAttributes, LineOrder, SpecificChannels, WritableImage, f16,
};

use crate::color::srgb_to_linear;
use crate::frame::Frame;
use crate::metadata::{Texts, text};
use crate::options::Rational;

/// In front of our attributes' names, which must not meet the standard's.
const PREFIX: &str = "kinora.";

/// The primaries of BT.709 and sRGB with white D65 (CIE x, y).
const REC709: Chromaticities = Chromaticities {
    red: Vec2(0.64, 0.33),
    green: Vec2(0.3, 0.6),
    blue: Vec2(0.15, 0.06),
    white: Vec2(0.3127, 0.329),
};

/// Any text: OpenEXR asks for no encoding, readers of today take UTF-8.
fn utf8(text: &str) -> Text {
    Text::from_slice_unchecked(text.as_bytes())
}

/// Writes one picture in half (16 bits) or f32 (32), deflated. The samples are converted from sRGB
/// to linear light, which is what OpenEXR means. The comment goes into the standard attribute
/// `comments`, other texts into `kinora.KEY`.
pub(super) fn write(
    out: impl Write + Seek,
    frame: &Frame,
    bits: u8,
    fps: Rational,
    metadata: &BTreeMap<String, String>,
) -> io::Result<()> {
    let mut attributes = LayerAttributes {
        software_name: Some(utf8(concat!("Kinora ", env!("CARGO_PKG_VERSION")))),
        ..LayerAttributes::default()
    };
    if let Ok(num) = i32::try_from(fps.num()) {
        attributes.frames_per_second = Some((num, fps.den()));
    }
    for (key, value) in metadata {
        if key == "comment" {
            attributes.comments = Some(utf8(value));
        } else {
            let name = Text::from(format!("{PREFIX}{key}").as_str());
            attributes.other.insert(name, AttributeValue::Text(utf8(value)));
        }
    }
    let linear = |at: Vec2<usize>| {
        let pixel = (at.y() * frame.width + at.x()) * 3;
        [0, 1, 2].map(|c| srgb_to_linear(frame.rgb[pixel + c]))
    };
    let encoding = Encoding {
        compression: Compression::ZIP16,
        line_order: LineOrder::Increasing,
        ..Encoding::default()
    };
    let size = (frame.width, frame.height);
    let written = if bits == 32 {
        let channels = SpecificChannels::rgb(|at| linear(at).into());
        let mut image = Image::from_layer(Layer::new(size, attributes, encoding, channels));
        image.attributes.chromaticities = Some(REC709);
        image.write().to_buffered(out)
    } else {
        let channels = SpecificChannels::rgb(|at| linear(at).map(f16::from_f32).into());
        let mut image = Image::from_layer(Layer::new(size, attributes, encoding, channels));
        image.attributes.chromaticities = Some(REC709);
        image.write().to_buffered(out)
    };
    written.map_err(|e| match e {
        exr::error::Error::Io(e) => e,
        other => io::Error::other(other.to_string()),
    })
}

/// Our attributes of the first layer, and the standard comment.
pub(crate) fn read_metadata(file: impl Read) -> std::result::Result<Texts, String> {
    let meta = MetaData::read_from_buffered(file, false).map_err(|e| e.to_string())?;
    let Some(header) = meta.headers.first() else {
        return Err("it has no picture".into());
    };
    let own = &header.own_attributes;
    let mut found: Texts = own
        .other
        .iter()
        .filter_map(|(name, value)| {
            let key = text(name.as_slice()).strip_prefix(PREFIX)?.to_owned();
            match value {
                AttributeValue::Text(value) => Some((key, text(value.as_slice()))),
                _ => None,
            }
        })
        .collect();
    if let Some(comment) = &own.comments {
        found.insert("comment".into(), text(comment.as_slice()));
    }
    Ok(found)
}
