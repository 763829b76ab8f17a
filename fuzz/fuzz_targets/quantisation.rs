//! What files say of their quantised layers, in a tensor or in the header.
#![no_main]

use kinora_quant::file::{parse_layer_config, parse_quantization_metadata};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_layer_config(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = parse_quantization_metadata(text);
    }
});
