//! `config.json` of a transformer, an autoencoder or a text encoder: what passes the check can be computed with.
#![no_main]

use kinora_models::text::umt5::Umt5Config;
use kinora_models::wan::{TransformerConfig, VaeConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = serde_json::from_slice::<TransformerConfig>(bytes)
        && config.check().is_ok()
    {
        let _ = (config.dim(), config.tokens([21, 90, 160]));
    }
    if let Ok(config) = serde_json::from_slice::<VaeConfig>(bytes)
        && config.check().is_ok()
    {
        let _ = (
            config.spatial_factor(),
            config.temporal_factor(),
            config.latent_frames(81),
        );
    }
    if let Ok(config) = serde_json::from_slice::<Umt5Config>(bytes)
        && config.check().is_ok()
    {
        assert_eq!(config.buckets(5).len(), 9);
    }
});
