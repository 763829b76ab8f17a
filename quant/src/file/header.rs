//! The header of a safetensors file.
//!
//! Format: 8 bytes of little-endian length, that many bytes of JSON, then the tensors' bytes. The `safetensors`
//! crate reads the same format; this reader exists because that one takes duplicate names for one tensor, refuses
//! a whole file for one tensor of a type that it does not know, and does not say which tensor is at fault.
//! (A test holds that it accepts everything that this one accepts.)

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::shown;
use crate::{DType, Listing, TensorInfo, json};

/// Longest header that is read, in bytes; the format's own limit.
pub const MAX_HEADER: u64 = 100_000_000;

/// Most dimensions that a tensor may have.
pub const MAX_RANK: usize = 16;

/// Bytes of the length in front of the header.
pub(crate) const LENGTH_BYTES: u64 = 8;

/// A header that keeps the rules.
#[derive(Debug)]
pub struct Header {
    /// The `__metadata__` map; empty where there is none.
    pub metadata: BTreeMap<String, String>,
    /// The tensors by name.
    pub entries: BTreeMap<String, Entry>,
}

/// Where a tensor lies in its file, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the file calls the type.
    pub type_name: String,
    /// The type, where this crate reads it. Shape and `range` agree then.
    pub dtype: Option<DType>,
    /// Dimensions, outermost first; the product of any of them times the element size does not overflow.
    pub shape: Vec<usize>,
    /// Bytes of the file, inside it and shared with no other tensor.
    pub range: Range<u64>,
}

impl Entry {
    /// Type and shape, where the type can be read.
    pub fn info(&self) -> Option<TensorInfo> {
        self.dtype.map(|dtype| TensorInfo {
            dtype,
            shape: self.shape.clone(),
        })
    }

    /// Its line in a table of contents.
    pub fn listing(&self) -> Listing {
        Listing {
            type_name: self.type_name.clone(),
            dtype: self.dtype,
            shape: self.shape.clone(),
            bytes: self.range.end - self.range.start,
        }
    }
}

/// Reads the header of a file of `file_len` bytes that begins with `start` (the whole header at least; what
/// follows it is not looked at).
///
/// # Errors
/// In words, with the tensor's name and a remedy: which rule the header breaks.
///
/// Rules: the header lies in the file and takes at most [`MAX_HEADER`] bytes; it is a JSON object of limited depth
/// without duplicate names; sizes do not overflow; every tensor takes exactly the bytes of its shape (types that
/// this crate does not know are listed as they are); tensors follow each other without gap or overlap, and the
/// last ends where the file ends.
pub fn parse_header(start: &[u8], file_len: u64) -> Result<Header, String> {
    let Some((length, rest)) = start.split_first_chunk() else {
        return Err(format!("it has {} bytes, too few for a header; {AGAIN}", start.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(format!(
            "it announces a header of {length} bytes (the limit is {MAX_HEADER}); it is another kind of file, or damaged"
        ));
    }
    let json = usize::try_from(length).ok().and_then(|n| rest.get(..n));
    let Some(json) = json.filter(|_| length <= file_len.saturating_sub(LENGTH_BYTES)) else {
        return Err(format!(
            "it announces a header of {length} bytes but ends before that; {AGAIN}"
        ));
    };
    if json.first() != Some(&b'{') {
        return Err("its header is not a JSON object; it is another kind of file, or damaged".to_owned());
    }
    let raw: RawHeader = json::parse(json)?;
    let data_start = LENGTH_BYTES + length;
    let mut entries = BTreeMap::new();
    for (name, tensor) in raw.tensors {
        let entry = tensor
            .check(data_start, file_len)
            .map_err(|e| format!("tensor `{}`: {e}", shown(&name)))?;
        entries.insert(name, entry);
    }
    check_cover(&entries, data_start, file_len)?;
    Ok(Header {
        metadata: raw.metadata,
        entries,
    })
}

const AGAIN: &str = "the download was probably cut off: fetch the file again";

/// The tensors, in the order of their bytes, must tile the rest of the file. (A gap could hide data, an overlap
/// could make one tensor change with another, and a longer or shorter file is not the one that was written.)
fn check_cover(entries: &BTreeMap<String, Entry>, data_start: u64, file_len: u64) -> Result<(), String> {
    let mut order: Vec<_> = entries.iter().collect();
    order.sort_by_key(|(_, e)| (e.range.start, e.range.end));
    let mut end = data_start;
    for (name, entry) in order {
        if entry.range.start != end {
            let what = if entry.range.start < end {
                "overlaps the tensor before it"
            } else {
                "leaves a gap before it"
            };
            return Err(format!(
                "tensor `{}` {what}; the file is damaged: fetch it again",
                shown(name)
            ));
        }
        end = entry.range.end;
    }
    if end != file_len {
        let surplus = file_len - end;
        return Err(format!(
            "{surplus} bytes after the last tensor belong to none; the file is damaged: fetch it again"
        ));
    }
    Ok(())
}

/// Bits of an element of the types that the format defines and this crate does not read.
fn foreign_bits(type_name: &str) -> Option<usize> {
    match type_name {
        "F4" => Some(4),
        "F6_E2M3" | "F6_E3M2" => Some(6),
        "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => Some(8),
        "I16" | "U16" => Some(16),
        "U64" | "C64" => Some(64),
        _ => None,
    }
}

/// A tensor as the JSON says it.
#[derive(Deserialize)]
struct RawTensor {
    dtype: String,
    #[serde(deserialize_with = "shape")]
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

impl RawTensor {
    fn check(self, data_start: u64, file_len: u64) -> Result<Entry, String> {
        let [begin, end] = self.data_offsets;
        if begin > end {
            return Err(format!("its bytes run backwards, from {begin} to {end}"));
        }
        let data_len = file_len - data_start;
        if end > data_len {
            return Err(format!(
                "its bytes end at {end}, but the file holds only {data_len}; {AGAIN}"
            ));
        }
        let dtype = DType::from_name(&self.dtype);
        let bits = dtype
            .map(|t| t.format().block_bytes * 8)
            .or_else(|| foreign_bits(&self.dtype));
        // Dimensions of 0 count as 1, so that no product of dimensions overflows later; and bits, not bytes, since
        // the smallest types take less than a byte.
        let bound = self
            .shape
            .iter()
            .try_fold(bits.unwrap_or(8), |n, d| n.checked_mul((*d).max(1)));
        if bound.is_none() {
            return Err(format!("its shape {:?} is too large to exist", self.shape));
        }
        if let Some(bits) = bits {
            let need = self.shape.iter().product::<usize>() * bits;
            if need % 8 != 0 || (end - begin) != need as u64 / 8 {
                let (shape, got) = (&self.shape, end - begin);
                return Err(format!(
                    "shape {shape:?} of {} does not take the {got} bytes that it has",
                    self.dtype
                ));
            }
        }
        let range = data_start + begin..data_start + end;
        Ok(Entry {
            type_name: shown(&self.dtype),
            dtype,
            shape: self.shape,
            range,
        })
    }
}

/// The header as the JSON says it.
struct RawHeader {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, RawTensor>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut metadata: Option<json::UniqueMap<String>> = None;
                let mut tensors = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    let double = if key == "__metadata__" {
                        let value = map.next_value().map_err(|e| json::named(&key, e))?;
                        metadata.replace(value).is_some()
                    } else {
                        let value = map.next_value().map_err(|e| json::named(&key, e))?;
                        tensors.insert(key.clone(), value).is_some()
                    };
                    if double {
                        return Err(A::Error::custom(format_args!(
                            "the name `{}` is there twice",
                            shown(&key)
                        )));
                    }
                }
                Ok(RawHeader {
                    metadata: metadata.map(|m| m.0).unwrap_or_default(),
                    tensors,
                })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Dimensions, counted while they are read: a header could otherwise ask for gigabytes of ones.
fn shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    struct Dimensions;
    impl<'de> Visitor<'de> for Dimensions {
        type Value = Vec<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX_RANK} dimensions")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut out = Vec::new();
            while let Some(d) = seq.next_element()? {
                if out.len() == MAX_RANK {
                    return Err(A::Error::invalid_length(MAX_RANK + 1, &self));
                }
                out.push(d);
            }
            Ok(out)
        }
    }
    deserializer.deserialize_seq(Dimensions)
}
