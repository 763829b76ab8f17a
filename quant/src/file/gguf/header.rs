//! The header of a GGUF file, versions 2 and 3, little-endian.
//!
//! Format: `GGUF`, version, number of tensors, number of keys; the keys with their values; the tensors' names,
//! dimensions (innermost first), types and offsets; then, aligned, the tensors' bytes. ggml's own limit of four
//! dimensions does not hold for files of video models, whose convolutions have five.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::cursor::Cursor;
use super::types;
use super::value::{Kind, Place, Value};
use crate::error::shown;
use crate::file::header::{Entry, MAX_HEADER, MAX_RANK};

/// Most keys and most tensors of a file.
const MAX_KEYS: u64 = 1 << 16;
const MAX_TENSORS: u64 = 1 << 18;

/// What a tensor's offset is a multiple of, where the file does not say.
pub(super) const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_ALIGNMENT: u64 = 1 << 20;

/// Keys that matter here.
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";
const SHAPE_KEY: &str = "comfy.gguf.orig_shape.";

/// A header that keeps the rules.
#[derive(Debug)]
pub struct GgufHeader {
    /// The values by key.
    pub metadata: BTreeMap<String, Place>,
    /// The tensors by name.
    pub entries: BTreeMap<String, Entry>,
}

/// Reads the header of a file of `file_len` bytes that begins with `start` (the whole header at least).
///
/// # Errors
/// In words, with the key's or tensor's name: which rule the header breaks.
///
/// Rules: version 2 or 3, little-endian; the header takes at most [`MAX_HEADER`] bytes, 65,536 keys and 262,144
/// tensors; no name is there twice; arrays nest at most four deep; sizes do not overflow; rows hold whole blocks;
/// tensors lie in the file, aligned, without overlap. Types that this crate does not read are listed as they are.
pub fn parse_gguf(start: &[u8], file_len: u64) -> Result<GgufHeader, String> {
    let limit = start.len().min(MAX_HEADER as usize);
    let mut cursor = Cursor::new(&start[..limit]);
    if cursor.u32()? != u32::from_le_bytes(*b"GGUF") {
        return Err("it does not begin with `GGUF`".to_owned());
    }
    match cursor.u32()? {
        2 | 3 => {}
        version if matches!(version.swap_bytes(), 1..=3) => {
            return Err("its numbers are big-endian; use the little-endian version of the file".to_owned());
        }
        version => return Err(format!("it is of version {version}; versions 2 and 3 are read")),
    }
    let (tensors, keys) = (cursor.u64()?, cursor.u64()?);
    for (count, limit, what) in [(keys, MAX_KEYS, "keys"), (tensors, MAX_TENSORS, "tensors")] {
        if count > limit {
            return Err(format!("it announces {count} {what} (the limit is {limit})"));
        }
    }
    let metadata = read_metadata(&mut cursor, limit, keys)?;
    let values = Values {
        start,
        places: &metadata,
    };
    let alignment = values.alignment()?;
    let mut raw = BTreeMap::new();
    for _ in 0..tensors {
        let name = cursor.name()?;
        let tensor = RawTensor::read(&mut cursor).map_err(|e| about(name, e))?;
        if raw.insert(name.to_owned(), tensor).is_some() {
            return Err(about(name, "is there twice".to_owned()));
        }
    }
    let header_len = (limit - cursor.rest().len()) as u64;
    let data_start = header_len.next_multiple_of(alignment);
    let mut entries = BTreeMap::new();
    let mut unmeasured = BTreeSet::new();
    for (name, tensor) in raw {
        if types::of_number(tensor.type_number).is_none() {
            unmeasured.insert(name.clone());
        }
        let shape = values.original_shape(&name);
        let entry = shape.and_then(|shape| tensor.check(shape, data_start, alignment, file_len));
        entries.insert(name.clone(), entry.map_err(|e| about(&name, e))?);
    }
    check_order(&mut entries, &unmeasured, file_len)?;
    Ok(GgufHeader { metadata, entries })
}

fn about(tensor: &str, reason: String) -> String {
    format!("tensor `{}`: {reason}", shown(tensor))
}

fn read_metadata(cursor: &mut Cursor<'_>, length: usize, keys: u64) -> Result<BTreeMap<String, Place>, String> {
    let mut metadata = BTreeMap::new();
    for _ in 0..keys {
        let key = cursor.name()?;
        let about = |reason: String| format!("key `{}`: {reason}", shown(key));
        let kind = Kind::read(cursor).map_err(about)?;
        let begin = length - cursor.rest().len();
        kind.skip(cursor, 1, 0).map_err(about)?;
        let range = begin..length - cursor.rest().len();
        if metadata.insert(key.to_owned(), Place { kind, range }).is_some() {
            return Err(about("it is there twice".to_owned()));
        }
    }
    Ok(metadata)
}

/// The values that say how to read tensors.
struct Values<'a> {
    start: &'a [u8],
    places: &'a BTreeMap<String, Place>,
}

impl Values<'_> {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        Value::new(self.start, self.places.get(key)?)
    }

    fn alignment(&self) -> Result<u64, String> {
        let Some(value) = self.get(ALIGNMENT_KEY) else {
            return Ok(DEFAULT_ALIGNMENT);
        };
        let alignment = value.integer().and_then(|a| u64::try_from(a).ok());
        alignment
            .filter(|a| a.is_power_of_two() && *a <= MAX_ALIGNMENT)
            .ok_or_else(|| format!("`{ALIGNMENT_KEY}` is no power of two up to {MAX_ALIGNMENT}"))
    }

    /// The shape that a tensor had before it was flattened to whole blocks.
    fn original_shape(&self, name: &str) -> Result<Option<Vec<usize>>, String> {
        let Some(value) = self.get(&format!("{SHAPE_KEY}{name}")) else {
            return Ok(None);
        };
        let wrong = || format!("its original shape is no list of at most {MAX_RANK} dimensions");
        let elements = value.elements().filter(|e| e.left() <= MAX_RANK as u64);
        let shape: Option<Vec<_>> = elements
            .ok_or_else(wrong)?
            .map(|d| d.integer().and_then(|d| usize::try_from(d).ok()))
            .collect();
        shape.map(Some).ok_or_else(wrong)
    }
}

/// A tensor as the header says it.
struct RawTensor {
    /// Outermost first.
    shape: Vec<usize>,
    type_number: u32,
    offset: u64,
}

impl RawTensor {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, String> {
        let rank = cursor.u32()?;
        if rank as usize > MAX_RANK {
            return Err(format!("it has {rank} dimensions (the limit is {MAX_RANK})"));
        }
        let mut shape = Vec::new();
        for _ in 0..rank {
            let dimension = cursor.u64()?;
            shape.push(usize::try_from(dimension).map_err(|_| format!("its dimension {dimension} is too large"))?);
        }
        shape.reverse();
        Ok(Self {
            shape,
            type_number: cursor.u32()?,
            offset: cursor.u64()?,
        })
    }

    fn check(
        mut self,
        original: Option<Vec<usize>>,
        data_start: u64,
        alignment: u64,
        file_len: u64,
    ) -> Result<Entry, String> {
        // Dimensions of 0 count as 1, so that no product of dimensions overflows later; 16 bytes are more than any
        // type takes for an element.
        let bound = |shape: &[usize]| shape.iter().try_fold(16usize, |n, d| n.checked_mul((*d).max(1)));
        if [Some(&self.shape), original.as_ref()]
            .into_iter()
            .flatten()
            .any(|s| bound(s).is_none())
        {
            return Err(format!("its shape {:?} is too large to exist", self.shape));
        }
        if let Some(original) = original {
            if original.iter().product::<usize>() != self.shape.iter().product::<usize>() {
                return Err(format!(
                    "its original shape {original:?} is no reshaping of {:?}",
                    self.shape
                ));
            }
            self.shape = original;
        }
        let kind = types::of_number(self.type_number);
        let dtype = kind.as_ref().and_then(|k| k.dtype);
        let bytes = match &kind {
            Some(kind) => {
                let (block, bytes) = kind.block;
                let k = self.shape.last().copied().unwrap_or(1);
                if !k.is_multiple_of(block) {
                    let (shape, name) = (&self.shape, kind.name);
                    return Err(format!(
                        "rows of shape {shape:?} hold no whole blocks of {block} elements of {name}"
                    ));
                }
                (self.shape.iter().product::<usize>() / block)
                    .checked_mul(bytes)
                    .ok_or("its size overflows")? as u64
            }
            // Where it ends is not known: `check_order` says.
            None => 0,
        };
        if !self.offset.is_multiple_of(alignment) {
            return Err(format!("its offset {} is no multiple of {alignment}", self.offset));
        }
        let begin = data_start.checked_add(self.offset);
        let range = begin.and_then(|begin| Some(begin..begin.checked_add(bytes)?));
        let Some(range) = range.filter(|r| r.end <= file_len) else {
            return Err(format!(
                "its {bytes} bytes at {} end past the file's {file_len}; the download was probably cut off: fetch the file again",
                self.offset
            ));
        };
        Ok(Entry {
            type_name: kind.map_or_else(|| format!("ggml type {}", self.type_number), |k| k.name.to_owned()),
            dtype,
            shape: self.shape,
            range,
        })
    }
}

/// Tensors must not overlap. Those of types whose size is not known reach up to the next.
fn check_order(
    entries: &mut BTreeMap<String, Entry>,
    unmeasured: &BTreeSet<String>,
    file_len: u64,
) -> Result<(), String> {
    let mut order: Vec<(&String, &mut Entry)> = entries.iter_mut().collect();
    order.sort_by_key(|(_, e)| (e.range.start, e.range.end));
    let mut next = file_len;
    for (name, entry) in order.into_iter().rev() {
        let Range { start, end } = entry.range;
        if end > next {
            return Err(about(
                name,
                "it overlaps the tensor after it; the file is damaged".to_owned(),
            ));
        }
        if unmeasured.contains(name) {
            entry.range.end = next;
        }
        next = start;
    }
    Ok(())
}
