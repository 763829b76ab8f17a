//! EBML elements, and the numbers of those that we use.

#![allow(missing_docs, reason = "the names are those of the Matroska specification")]

pub(super) const EBML: u32 = 0x1A45_DFA3;
pub(super) const SEGMENT: u32 = 0x1853_8067;
pub(super) const SEEK_HEAD: u32 = 0x114D_9B74;
pub(super) const INFO: u32 = 0x1549_A966;
pub(super) const DURATION: u32 = 0x4489;
pub(super) const TRACKS: u32 = 0x1654_AE6B;
pub(super) const TAGS: u32 = 0x1254_C367;
pub(super) const TAG: u32 = 0x7373;
pub(super) const TARGETS: u32 = 0x63C0;
pub(super) const TAG_TRACK_UID: u32 = 0x63C5;
pub(super) const SIMPLE_TAG: u32 = 0x67C8;
pub(super) const TAG_NAME: u32 = 0x45A3;
pub(super) const TAG_STRING: u32 = 0x4487;
pub(super) const CLUSTER: u32 = 0x1F43_B675;
pub(super) const CUES: u32 = 0x1C53_BB6B;
pub(super) const VOID: u32 = 0xEC;

/// An element's number as it is written.
pub(super) fn id(out: &mut Vec<u8>, id: u32) {
    let skip = id.leading_zeros() as usize / 8;
    out.extend_from_slice(&id.to_be_bytes()[skip..]);
}

/// The shortest form of a size.
fn size(out: &mut Vec<u8>, size: u64) {
    // All ones mean "unknown", hence the + 1.
    let length = (1..8).find(|n| size + 1 < 1 << (7 * n)).unwrap_or(8);
    let marked = size | 1 << (7 * length);
    out.extend_from_slice(&marked.to_be_bytes()[8 - length as usize..]);
}

/// The eight-byte form of a size, which can be filled in later.
pub(super) fn long_size(size: u64) -> [u8; 8] {
    (size | 1 << 56).to_be_bytes()
}

/// An element with a body.
pub(super) fn element(number: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 12);
    id(&mut out, number);
    size(&mut out, body.len() as u64);
    out.extend_from_slice(body);
    out
}

/// An element of elements.
pub(super) fn master(id: u32, parts: &[Vec<u8>]) -> Vec<u8> {
    element(id, &parts.concat())
}

/// A number.
pub(super) fn uint(id: u32, value: u64) -> Vec<u8> {
    let skip = (value.leading_zeros() as usize / 8).min(7);
    element(id, &value.to_be_bytes()[skip..])
}

/// A text.
pub(super) fn string(id: u32, value: &str) -> Vec<u8> {
    element(id, value.as_bytes())
}

/// Reads the head of an element: number, size of the body (`None`: unknown), size of the head.
pub(super) fn head(data: &[u8]) -> Option<(u32, Option<u64>, usize)> {
    let first = *data.first()?;
    let id_length = first.leading_zeros() as usize + 1;
    if id_length > 4 {
        return None;
    }
    let number = data
        .get(..id_length)?
        .iter()
        .fold(0u32, |all, &b| all << 8 | u32::from(b));
    let first = *data.get(id_length)?;
    let size_length = first.leading_zeros() as usize + 1;
    if size_length > 8 {
        return None;
    }
    let marked = data
        .get(id_length..id_length + size_length)?
        .iter()
        .fold(0u64, |all, &b| all << 8 | u64::from(b));
    let mask = (1u64 << (7 * size_length)) - 1;
    let size = (marked & mask != mask).then_some(marked & mask);
    Some((number, size, id_length + size_length))
}

/// A walk through the elements in memory: number and body. Stops at the first that is damaged.
pub(super) fn elements(mut data: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let (number, size, skip) = head(data)?;
        let end = skip.checked_add(usize::try_from(size?).ok()?)?;
        let body = data.get(skip..end)?;
        data = &data[end..];
        Some((number, body))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_trip_at_their_edges() {
        for n in [0, 1, 126, 127, 128, 16_382, 16_383, 16_384] {
            let whole = element(TAGS, &vec![7; n]);
            let (number, size, skip) = head(&whole).unwrap();
            assert_eq!((number, size), (TAGS, Some(n as u64)));
            assert_eq!(whole.len(), skip + n);
        }
        assert_eq!(uint(0xE7, 0), [0xE7, 0x81, 0]);
        assert_eq!(uint(0xE7, 256), [0xE7, 0x82, 1, 0]);
        assert_eq!(head(&[0xEC, 0xff]), Some((0xEC, None, 2)));
        assert!(head(&[0x08, 0x80]).is_none() && head(&[]).is_none());
    }
}
