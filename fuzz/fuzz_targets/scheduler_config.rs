//! A scheduler's configuration and arguments: `{"class": .., "config": {..}, "args": {..}}`.
#![no_main]

use kinora_models::sampler::from_diffusers;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(case) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let class = case["class"].as_str().unwrap_or_default();
    if let Ok(mut sampler) = from_diffusers(class, &case["config"], &case["args"]) {
        let steps = sampler.schedule().timesteps.len();
        let mut latent = [0.5];
        for step in 0..steps {
            sampler.step(step, &[0.25], &mut latent);
        }
    }
});
