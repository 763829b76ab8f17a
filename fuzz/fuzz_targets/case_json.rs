//! `case.json` of a verification case.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The command's crate would bring the whole renderer along; this file of it stands alone.
#[path = "../../tools/kinora/src/verify/description.rs"]
#[expect(dead_code, reason = "the command uses the rest")]
mod description;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(case) = description::Description::parse(bytes) {
        let _ = (case.valid_rows(), case.count("steps"));
        assert!(case.weights.is_none_or(|path| !path.starts_with('/')));
    }
});
