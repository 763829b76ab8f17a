//! Metadata out of WebP files.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use crate::metadata::{MAX_METADATA, text};

/// A walk through RIFF chunks in memory. Stops at the first that is damaged.
pub(super) fn chunks(mut data: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let kind = data.get(..4)?.try_into().ok()?;
        let size = u32::from_le_bytes(data.get(4..8)?.try_into().ok()?) as usize;
        let body = data.get(8..8usize.checked_add(size)?)?;
        data = data.get(8 + size + size % 2..).unwrap_or_default();
        Some((kind, body))
    })
}

/// What our sink wrote into the XMP chunk.
pub(crate) fn read_metadata(file: &mut (impl Read + Seek)) -> Result<BTreeMap<String, String>, String> {
    let length = file.seek(SeekFrom::End(0)).map_err(|e| e.to_string())?;
    let mut at = 12u64;
    while at + 8 <= length {
        let mut head = [0u8; 8];
        file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
        file.read_exact(&mut head).map_err(|e| e.to_string())?;
        let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        if at + 8 + size > length {
            return Err(format!("a chunk at byte {at} says it has {size} bytes"));
        }
        if &head[..4] == b"XMP " {
            if size > MAX_METADATA {
                return Err(format!("its metadata say they have {size} bytes"));
            }
            let mut body = vec![0; size as usize];
            file.read_exact(&mut body).map_err(|e| e.to_string())?;
            return Ok(properties(&text(&body)));
        }
        at += 8 + size + size % 2;
    }
    Ok(BTreeMap::new())
}

/// All `<kinora:KEY>value</kinora:KEY>`. Our own packets need no more of XML than this; of
/// another program's that keeps the properties as elements, it finds them too.
fn properties(packet: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = packet;
    while let Some((_, tail)) = rest.split_once("<kinora:") {
        rest = tail;
        let Some((key, tail)) = tail.split_once('>') else {
            break;
        };
        if let Some((value, tail)) = tail.split_once(&format!("</kinora:{key}>")) {
            found.insert(key.to_owned(), unescape(value));
            rest = tail;
        }
    }
    found
}

fn unescape(text: &str) -> String {
    text.replace("&#13;", "\r")
        .replace("&#xD;", "\r")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_end_in_an_error_or_in_nothing() {
        let mut long = b"RIFF\xff\xff\xff\xffWEBPXMP \xff\xff\xff\xff".to_vec();
        let read = |bytes: &[u8]| read_metadata(&mut std::io::Cursor::new(bytes));
        assert!(read(&long).is_err());
        long.truncate(19);
        assert_eq!(read(&long), Ok(BTreeMap::new()));
        assert!(properties("<kinora:a><kinora:b").is_empty());
        assert_eq!(chunks(b"VP8 \xff\xff\xff\xff").count(), 0);
    }
}
