//! Where things are kept that can be made again: the model in the box, encoded prompts, what was measured of devices.

use std::path::{Path, PathBuf};

/// `KINORA_CACHE`, else the platform's place for caches, else the temporary folder.
pub(crate) fn folder() -> PathBuf {
    let from = |name: &str, sub: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(|v| Path::new(&v).join(sub))
    };
    from("KINORA_CACHE", "")
        .or_else(|| from("XDG_CACHE_HOME", "kinora"))
        .or_else(|| from("LOCALAPPDATA", "kinora/cache"))
        .or_else(|| from("HOME", ".cache/kinora"))
        .unwrap_or_else(|| std::env::temp_dir().join("kinora"))
}
