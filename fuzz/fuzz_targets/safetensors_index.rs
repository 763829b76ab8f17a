//! The index of a sharded model: no shard lies outside its folder.
#![no_main]

use kinora_quant::file::parse_index;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for shard in parse_index(bytes).unwrap_or_default().values() {
        assert!(shard.ends_with(".safetensors") && !shard.contains(['/', '\\']) && !shard.starts_with('.'));
    }
});
