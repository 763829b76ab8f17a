//! `tokenizer.json`, and texts through what it describes.
#![no_main]

use std::panic;

use kinora_models::text::tokenizer::Tokenizer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    // The reader catches panics of the tokenizers library, which libFuzzer's hook would report before that. A panic
    // that nobody catches still ends the run.
    init: {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.location().is_none_or(|place| !place.file().contains("/registry/")) {
                report(info);
            }
        }));
    },
    |bytes: &[u8]| {
        if let Ok(tokenizer) = Tokenizer::from_json_bytes(bytes) {
            for text in ["", "a red circle", "ﬁ 東京\u{301}\u{0}"] {
                let _ = tokenizer.encode(text, 8);
            }
        }
    }
);
