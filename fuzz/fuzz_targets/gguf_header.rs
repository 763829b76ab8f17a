//! The header of a GGUF file: what is accepted lies in the file and fits its shape, and its values can be read.
#![no_main]

use kinora_quant::file::gguf::Value;
use kinora_quant::file::parse_gguf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let length = bytes.len() as u64;
    let Ok(header) = parse_gguf(bytes, length) else {
        return;
    };
    for entry in header.entries.values() {
        assert!(entry.range.start <= entry.range.end && entry.range.end <= length);
        if let Some(info) = entry.info() {
            assert_eq!(info.checked_bytes(), Some((entry.range.end - entry.range.start) as usize));
        }
    }
    for place in header.metadata.values() {
        let value = Value::new(bytes, place).expect("values lie in the file");
        let _ = value.to_text();
        if let Some(elements) = value.elements() {
            assert!(elements.left() <= length);
            for element in elements {
                let _ = element.to_text();
            }
        }
    }
});
