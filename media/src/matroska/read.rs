//! Metadata out of Matroska and WebM files, ours and ffmpeg's.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use super::ebml::*;
use crate::metadata::{MAX_METADATA, text};

/// The texts of all tags of the whole file, their names in lower case. Clusters are skipped.
pub(crate) fn read_metadata(file: &mut (impl Read + Seek)) -> Result<BTreeMap<String, String>, String> {
    let length = file.seek(SeekFrom::End(0)).map_err(|e| e.to_string())?;
    let mut found = BTreeMap::new();
    let mut at = 0u64;
    while at < length {
        let mut bytes = [0u8; 12];
        let known = (length - at).min(12) as usize;
        file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
        file.read_exact(&mut bytes[..known]).map_err(|e| e.to_string())?;
        let (number, size, skip) =
            head(&bytes[..known]).ok_or_else(|| format!("there is no EBML element at byte {at}"))?;
        let body = at + skip as u64;
        if number == SEGMENT {
            at = body; // and on with its children
            continue;
        }
        let end = size.and_then(|size| body.checked_add(size));
        let Some(end) = end.filter(|&end| end <= length) else {
            return Err(format!("an element at byte {at} has no end in the file"));
        };
        if number == TAGS {
            if end - body > MAX_METADATA {
                return Err(format!("its tags say they have {} bytes", end - body));
            }
            let mut tags = vec![0; (end - body) as usize];
            file.seek(SeekFrom::Start(body)).map_err(|e| e.to_string())?;
            file.read_exact(&mut tags).map_err(|e| e.to_string())?;
            read_tags(&tags, &mut found);
        }
        at = end;
    }
    Ok(found)
}

fn read_tags(tags: &[u8], found: &mut BTreeMap<String, String>) {
    for (_, tag) in elements(tags).filter(|(number, _)| *number == TAG) {
        let of_a_track = elements(tag)
            .filter(|(number, _)| *number == TARGETS)
            .flat_map(|(_, targets)| elements(targets))
            .any(|(number, uid)| number == TAG_TRACK_UID && uid.iter().any(|&b| b != 0));
        if of_a_track {
            continue;
        }
        for (_, simple) in elements(tag).filter(|(number, _)| *number == SIMPLE_TAG) {
            let field = |wanted| {
                elements(simple)
                    .find(|(number, _)| *number == wanted)
                    .map(|(_, body)| text(body))
            };
            if let (Some(name), Some(value)) = (field(TAG_NAME), field(TAG_STRING)) {
                found.insert(name.to_lowercase(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_end_in_an_error() {
        for bytes in [
            &[0x1A, 0x45][..],
            &[0x1A, 0x45, 0xDF, 0xA3, 0x84, 1],
            &[0x12, 0x54, 0xC3, 0x67, 0x01, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x12, 0x54, 0xC3, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0],
        ] {
            assert!(read_metadata(&mut std::io::Cursor::new(bytes)).is_err());
        }
    }
}
