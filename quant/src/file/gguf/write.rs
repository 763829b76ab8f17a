//! How a GGUF file is laid out.

use std::collections::BTreeMap;

use super::header::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT};
use super::types;
use super::value::{Kind, Value};
use crate::TensorInfo;
use crate::file::header::MAX_RANK;
use crate::file::writer::Layout;

/// A value to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufValue {
    kind: Kind,
    bytes: Vec<u8>,
}

impl GgufValue {
    fn array(element: Kind, count: usize, bytes: impl Iterator<Item = u8>) -> Self {
        let header = (element as u32)
            .to_le_bytes()
            .into_iter()
            .chain((count as u64).to_le_bytes());
        Self {
            kind: Kind::Array,
            bytes: header.chain(bytes).collect(),
        }
    }

    /// A list of texts.
    pub fn texts(texts: &[impl AsRef<[u8]>]) -> Self {
        let mut bytes = Vec::new();
        for text in texts {
            put_text(&mut bytes, text.as_ref());
        }
        Self::array(Kind::Text, texts.len(), bytes.into_iter())
    }
}

/// Scalars, and lists of them.
macro_rules! scalars {
    ($($type:ty => $kind:expr),*) => {$(
        impl From<$type> for GgufValue {
            fn from(value: $type) -> Self {
                Self {
                    kind: $kind,
                    bytes: value.to_le_bytes().to_vec(),
                }
            }
        }
        impl From<&[$type]> for GgufValue {
            fn from(values: &[$type]) -> Self {
                Self::array($kind, values.len(), values.iter().flat_map(|v| v.to_le_bytes()))
            }
        }
    )*};
}
scalars!(u8 => Kind::U8, i32 => Kind::I32, u32 => Kind::U32, u64 => Kind::U64, f32 => Kind::F32);

impl From<bool> for GgufValue {
    fn from(value: bool) -> Self {
        Self {
            kind: Kind::Bool,
            bytes: vec![value.into()],
        }
    }
}

impl From<&str> for GgufValue {
    fn from(text: &str) -> Self {
        let mut bytes = Vec::new();
        put_text(&mut bytes, text.as_bytes());
        Self {
            kind: Kind::Text,
            bytes,
        }
    }
}

/// A value of another file, as it is there.
impl From<Value<'_>> for GgufValue {
    fn from(value: Value<'_>) -> Self {
        Self {
            kind: value.kind(),
            bytes: value.bytes().to_vec(),
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}

/// The header of a file of version 3, with the places of the tensors.
///
/// # Errors
/// In words, with the tensor's or key's name.
pub(in crate::file) fn layout(
    tensors: &BTreeMap<String, TensorInfo>,
    metadata: &BTreeMap<String, GgufValue>,
) -> Result<Layout, String> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        if key == ALIGNMENT_KEY {
            return Err(format!("the key `{key}` belongs to the format"));
        }
        put_text(&mut bytes, key.as_bytes());
        bytes.extend((value.kind as u32).to_le_bytes());
        bytes.extend(&value.bytes);
    }
    let (mut places, mut end) = (BTreeMap::new(), 0u64);
    for (name, info) in tensors {
        let number = types::number_of(info.dtype).ok_or_else(|| {
            format!(
                "tensor `{name}` is of type {}, which a GGUF file cannot hold",
                info.dtype
            )
        })?;
        if info.shape.len() > MAX_RANK {
            return Err(format!("tensor `{name}` cannot have {} dimensions", info.shape.len()));
        }
        let length = info.checked_bytes().map(|n| n as u64).ok_or_else(|| {
            let (shape, dtype) = (&info.shape, info.dtype);
            format!("tensor `{name}`: shape {shape:?} is too large or holds no whole blocks of {dtype}")
        })?;
        put_text(&mut bytes, name.as_bytes());
        bytes.extend((info.shape.len() as u32).to_le_bytes());
        bytes.extend(info.shape.iter().rev().flat_map(|d| (*d as u64).to_le_bytes()));
        bytes.extend(number.to_le_bytes());
        bytes.extend(end.to_le_bytes());
        places.insert(name.clone(), (end, length));
        end = end
            .checked_add(length)
            .and_then(|end| end.checked_next_multiple_of(DEFAULT_ALIGNMENT))
            .ok_or("the file would be too large")?;
    }
    bytes.resize(bytes.len().next_multiple_of(DEFAULT_ALIGNMENT as usize), 0);
    let start = bytes.len() as u64;
    for (position, _) in places.values_mut() {
        *position += start;
    }
    let length = end.checked_add(start).ok_or("the file would be too large")?;
    Ok(Layout { bytes, places, length })
}
