//! `spiece.model`, and texts through what it describes.
#![no_main]

use kinora_models::text::tokenizer::Tokenizer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tokenizer) = Tokenizer::from_spiece_bytes(bytes) {
        for text in ["", "a red circle", "ﬁ 東京\u{301}\u{0}"] {
            let encoded = tokenizer.encode(text, 8).expect("these models take every text");
            assert!((1..=8).contains(&encoded.ids.len()));
        }
    }
});
