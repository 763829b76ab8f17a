//! The header of a safetensors file: what is accepted lies in the file and fits its shape.
#![no_main]

use kinora_quant::file::parse_header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let length = bytes.len() as u64;
    let Ok(header) = parse_header(bytes, length) else {
        return;
    };
    let mut covered = 0;
    for entry in header.entries.values() {
        assert!(entry.range.start <= entry.range.end && entry.range.end <= length);
        let size = entry.range.end - entry.range.start;
        covered += size;
        if let Some(info) = entry.info() {
            assert_eq!(info.checked_bytes(), Some(size as usize));
        }
    }
    assert!(covered <= length - 8);
});
