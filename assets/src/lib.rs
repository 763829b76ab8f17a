//! The tiny text-to-video model that Kinora carries in its binary, and its way to the disk (weights are mapped
//! from files like those of any other model).

use std::io;
use std::path::{Path, PathBuf};

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        /// Path in the model's folder and content of every file.
        pub const FILES: &[(&str, &[u8])] = &[$(($path, include_bytes!(concat!("../demo-model/", $path)))),*];
    };
}

files![
    "kinora.json",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/tokenizer.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "transformer_2/config.json",
    "transformer_2/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
];

/// The model's folder below `cache`, written there if it is not yet. It appears whole or not at all; its name holds
/// a hash of the contents, and a folder with missing or truncated files is made anew.
///
/// # Errors
/// The folder cannot be written.
pub fn unpack(cache: &Path) -> io::Result<PathBuf> {
    let folder = cache.join(format!("demo-model-{:016x}", digest()));
    let is_whole = || {
        let mut files = FILES.iter();
        files.all(|(name, data)| std::fs::metadata(folder.join(name)).is_ok_and(|m| m.len() == data.len() as u64))
    };
    if is_whole() {
        return Ok(folder);
    }
    std::fs::create_dir_all(cache)?;
    let fresh = tempfile::Builder::new().prefix(".demo-model-").tempdir_in(cache)?;
    for (name, data) in FILES {
        let path = fresh.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder"))?;
        std::fs::write(path, data)?;
    }
    // A folder that holds files is not replaced: another process may have been faster, and read it now. Only a damaged
    // one makes way.
    if std::fs::rename(fresh.path(), &folder).is_err() && !is_whole() {
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::rename(fresh.path(), &folder)?;
    }
    Ok(folder)
}

/// FNV-1a over names and contents: tells versions of the model apart.
fn digest() -> u64 {
    let bytes = FILES
        .iter()
        .flat_map(|(name, data)| name.bytes().chain(data.iter().copied()));
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn unpacks_once_and_repairs() {
        let cache = tempfile::tempdir().unwrap();
        let folder = super::unpack(cache.path()).unwrap();
        for (name, data) in super::FILES {
            assert_eq!(std::fs::read(folder.join(name)).unwrap(), *data);
        }
        std::fs::write(folder.join("kinora.json"), "{").unwrap();
        assert_eq!(super::unpack(cache.path()).unwrap(), folder);
        assert_ne!(std::fs::read(folder.join("kinora.json")).unwrap(), b"{");
        assert_eq!(
            std::fs::read_dir(cache.path()).unwrap().count(),
            1,
            "no temporary folder stays"
        );
    }
}
