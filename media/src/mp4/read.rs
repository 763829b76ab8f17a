//! Metadata out of MP4 and QuickTime files, ours and ffmpeg's.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use crate::metadata::{MAX_METADATA, text};

/// A walk through boxes in memory: type and body of each. Stops at the first that is damaged.
fn boxes(mut data: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes(data.get(..4)?.try_into().ok()?) as usize;
        let kind = data.get(4..8)?.try_into().ok()?;
        let body = data.get(8..size)?;
        data = &data[size..];
        Some((kind, body))
    })
}

/// The body of the first `moov`, if it is at most [`MAX_METADATA`] long.
fn moov(file: &mut (impl Read + Seek)) -> Result<Vec<u8>, String> {
    let length = file.seek(SeekFrom::End(0)).map_err(|e| e.to_string())?;
    let mut at = 0u64;
    while at + 8 <= length {
        let mut head = [0u8; 16];
        let known = (length - at).min(16) as usize;
        file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
        file.read_exact(&mut head[..known]).map_err(|e| e.to_string())?;
        let word = |i: usize| u64::from(u32::from_be_bytes([0, 1, 2, 3].map(|b| head[i + b])));
        let (skip, size) = match word(0) {
            0 => (8, length - at),
            1 => (16, word(8) << 32 | word(12)),
            size => (8, size),
        };
        if size < skip || size > length - at {
            return Err(format!("a box at byte {at} says it has {size} bytes"));
        }
        if &head[4..8] == b"moov" {
            if size > MAX_METADATA {
                return Err(format!("its index says it has {size} bytes"));
            }
            let mut body = vec![0; (size - skip) as usize];
            file.seek(SeekFrom::Start(at + skip)).map_err(|e| e.to_string())?;
            file.read_exact(&mut body).map_err(|e| e.to_string())?;
            return Ok(body);
        }
        at += size;
    }
    Err("it has no index (moov box)".into())
}

/// All texts of `moov/udta/meta` and `moov/meta`.
pub(crate) fn read_metadata(file: &mut (impl Read + Seek)) -> Result<BTreeMap<String, String>, String> {
    let moov = moov(file)?;
    let mut found = BTreeMap::new();
    for (kind, body) in boxes(&moov) {
        match &kind {
            b"meta" => meta(body, &mut found),
            b"udta" => boxes(body)
                .filter(|(kind, _)| kind == b"meta")
                .for_each(|(_, body)| meta(body, &mut found)),
            _ => {}
        }
    }
    Ok(found)
}

fn meta(body: &[u8], found: &mut BTreeMap<String, String>) {
    // ISO's box has version and flags, QuickTime's has not: it starts with a box, hdlr.
    let body = match body.get(4..8) {
        Some(b"hdlr") => body,
        _ => body.get(4..).unwrap_or_default(),
    };
    let keys: Vec<String> = boxes(body)
        .filter(|(kind, _)| kind == b"keys")
        .flat_map(|(_, body)| boxes(body.get(8..).unwrap_or_default()))
        .map(|(_, name)| text(name))
        .collect();
    let items = boxes(body)
        .filter(|(kind, _)| kind == b"ilst")
        .flat_map(|(_, body)| boxes(body));
    for (kind, item) in items {
        let part = |wanted: &[u8; 4], skip| {
            boxes(item)
                .find(|(kind, _)| kind == wanted)
                .and_then(|(_, body)| body.get(skip..))
        };
        let Some(value) = part(b"data", 8) else {
            continue;
        };
        let number = u32::from_be_bytes(kind) as usize;
        let key = match &kind {
            b"----" => part(b"name", 4).map(text),
            b"\xa9cmt" => Some("comment".into()),
            b"\xa9nam" => Some("title".into()),
            b"\xa9too" => Some("encoder".into()),
            _ => number.checked_sub(1).and_then(|n| keys.get(n).cloned()),
        };
        if let Some(key) = key {
            found.insert(key, text(value));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The box at a path of types: its place within its parent, its body.
    pub(in crate::mp4) fn find<'a>(data: &'a [u8], path: &[&[u8; 4]]) -> Option<(usize, &'a [u8])> {
        let mut at = 0;
        loop {
            let size = u32::from_be_bytes(data.get(at..at + 4)?.try_into().unwrap()) as usize;
            let size = if size == 1 {
                u64::from_be_bytes(data[at + 8..at + 16].try_into().unwrap()) as usize
            } else {
                size
            };
            let body = &data[at + 8..at + size];
            if &data[at + 4..at + 8] == path[0] {
                return match path.len() {
                    1 => Some((at, body)),
                    _ => find(body, &path[1..]),
                };
            }
            at += size;
        }
    }

    #[test]
    fn damaged_files_end_in_an_error_or_in_nothing() {
        for bytes in [
            &b""[..],
            b"\0\0\0\x04moov",
            b"\0\0\0\x01moov\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x7f\xff\xff\xffmoov",
            b"\0\0\0\x08free\0\0",
        ] {
            assert!(read_metadata(&mut std::io::Cursor::new(bytes)).is_err());
        }
        let nothing = read_metadata(&mut std::io::Cursor::new(b"\0\0\0\x18moov\0\0\0\x10udta\0\0\0\x99meta"));
        assert_eq!(nothing, Ok(BTreeMap::new()));
    }
}
