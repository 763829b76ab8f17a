use std::ffi::OsString;
use std::path::Path;

use super::*;

/// A tree with empty files at `paths`, of growing sizes.
fn tree(paths: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (size, path) in paths.iter().enumerate() {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![0; size + 1]).unwrap();
    }
    folder
}

fn root(path: &Path, kind: Kind) -> Root {
    Root {
        path: path.to_owned(),
        kind,
        because: "test",
    }
}

/// The files that `request` means in the trees, as paths below them, or the error in words.
fn files_of(request: &str, roots: &[Root]) -> Result<Vec<String>, String> {
    let found = scan(roots);
    let below = |path: &Path| {
        let relative = roots.iter().find_map(|root| path.strip_prefix(&root.path).ok());
        relative.unwrap().to_str().unwrap().replace('\\', "/")
    };
    match resolve(&request.parse().unwrap(), &found, roots) {
        Ok(Resolved::Folder(folder)) => Ok(vec![below(&folder)]),
        Ok(Resolved::Files(files)) => Ok(files.values().map(|path| below(path)).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_comfyui_tree_resolves_by_type() {
    let folder = tree(&[
        "unet/Wan2.2-TI2V-5B-Q4_K_M.gguf",
        "unet/Wan2.2-TI2V-5B-Q8_0.gguf",
        "diffusion_models/wan2.2_ti2v_5B_fp16.safetensors",
        "text_encoders/umt5-xxl-encoder-Q8_0.gguf",
        "text_encoders/deep/er/umt5_xxl_fp16.safetensors",
        "vae/wan2.2_vae.safetensors",
        "vae/wan_2.1_vae.safetensors",
        "loras/some_lora.safetensors",
        "vae/.wan2.2_vae.safetensors.part",
    ]);
    let roots = [root(folder.path(), Kind::Tree)];
    let resolved = files_of("wan2.2-ti2v-5b:q4_k", &roots).unwrap();
    assert_eq!(
        resolved,
        [
            "unet/Wan2.2-TI2V-5B-Q4_K_M.gguf",
            "text_encoders/deep/er/umt5_xxl_fp16.safetensors",
            "vae/wan2.2_vae.safetensors"
        ]
    );
    let resolved = files_of("wan2.2-ti2v-5b:Q8_0", &roots).unwrap();
    assert_eq!(
        resolved[1], "text_encoders/umt5-xxl-encoder-Q8_0.gguf",
        "the same type where it is there"
    );
    let error = files_of("wan2.2-ti2v-5b", &roots).unwrap_err();
    assert_eq!(
        error,
        "wan2.2-ti2v-5b: there are files of several types; say which: wan2.2-ti2v-5b:fp16, wan2.2-ti2v-5b:q4_k_m, wan2.2-ti2v-5b:q8_0"
    );
}

#[test]
fn what_is_missing_is_named_with_where_it_was_looked_for() {
    let folder = tree(&[
        "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors",
        "Wan2.2-T2V-A14B-HighNoise-Q4_K_S.gguf",
        "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors",
        "umt5_xxl_fp16.safetensors",
    ]);
    let roots = [root(folder.path(), Kind::Tree)];
    let error = files_of("wan2.2-t2v-a14b", &roots).unwrap_err();
    for word in [
        "no file for autoencoder",
        "wan_2.1_vae.safetensors",
        folder.path().to_str().unwrap(),
        "kinora pull wan2.2-t2v-a14b",
    ] {
        assert!(error.contains(word), "{error} lacks {word}");
    }
    let error = files_of("wan2.2-t2v-a14b:q4_k_s", &roots).unwrap_err();
    for word in [
        "low-noise expert, autoencoder",
        "Wan2.2-T2V-A14B-LowNoise-Q4_K_S.gguf",
        "kinora pull wan2.2-t2v-a14b:q4_k_s",
    ] {
        assert!(error.contains(word), "{error} lacks {word}");
    }
    assert!(!error.contains("LowNoise-Q8_0"), "{error}");
    let error = files_of("wan2.1-t2v-1.3b", &[]).unwrap_err();
    assert!(error.contains("set KINORA_MODELS"), "{error}");
    assert!(
        "wan9"
            .parse::<Request>()
            .unwrap_err()
            .to_string()
            .contains("wan2.2-ti2v-5b")
    );
}

#[test]
fn a_hub_cache_gives_folders_and_files_of_its_main_revision() {
    let folder = tree(&[
        "models--Wan-AI--Wan2.2-TI2V-5B-Diffusers/snapshots/0a1b/model_index.json",
        "models--Wan-AI--Wan2.1-I2V-14B-480P-Diffusers/snapshots/0a1b/model_index.json",
        "models--Comfy-Org--Wan/snapshots/aa/split_files/diffusion_models/wan2.1_t2v_1.3B_fp16.safetensors",
        "models--Comfy-Org--Wan/snapshots/bb/split_files/diffusion_models/wan2.1_t2v_1.3B_bf16.safetensors",
        "models--Comfy-Org--Wan/snapshots/bb/split_files/vae/wan_2.1_vae.safetensors",
        "models--Comfy-Org--Wan/snapshots/bb/umt5_xxl_fp16.safetensors",
        "datasets--Wan-AI--Wan2.2-TI2V-5B-Diffusers/snapshots/0a1b/wan2.1_t2v_14B_fp16.safetensors",
    ]);
    let repo = folder.path().join("models--Comfy-Org--Wan");
    std::fs::create_dir(repo.join("refs")).unwrap();
    std::fs::write(repo.join("refs/main"), "bb\n").unwrap();
    let roots = [root(folder.path(), Kind::HubCache)];
    let resolved = files_of("wan2.2-ti2v-5b", &roots).unwrap();
    assert_eq!(resolved, ["models--Wan-AI--Wan2.2-TI2V-5B-Diffusers/snapshots/0a1b"]);
    assert_eq!(files_of("wan2.2-ti2v-5b:diffusers", &roots).unwrap(), resolved);
    assert_eq!(
        files_of("wan2.1-i2v-14b", &roots).unwrap(),
        ["models--Wan-AI--Wan2.1-I2V-14B-480P-Diffusers/snapshots/0a1b"]
    );
    let resolved = files_of("wan2.1-t2v-1.3b", &roots).unwrap();
    assert!(
        resolved[0].ends_with("bb/split_files/diffusion_models/wan2.1_t2v_1.3B_bf16.safetensors"),
        "{resolved:?}"
    );
    assert!(files_of("wan2.1-t2v-14b", &roots).is_err());
    assert!(files_of("wan2.2-ti2v-5b:q4_k", &roots).is_err());
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_in_circles_or_to_one_file_twice() {
    let folder = tree(&["a/wan2.2_vae.safetensors"]);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
    let roots = [
        root(folder.path(), Kind::Tree),
        root(&folder.path().join("a"), Kind::Tree),
    ];
    assert_eq!(scan(&roots).len(), 1);
}

#[test]
fn variables_say_where_to_look() {
    let paths = std::env::join_paths(["/m1", "/m2"]).unwrap();
    let variables = |set: &[(&str, &str)]| {
        let set: Vec<(String, OsString)> = set.iter().map(|(k, v)| ((*k).to_owned(), OsString::from(v))).collect();
        roots(|name| set.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
    };
    let listed = |set: &[(&str, &str)]| -> Vec<String> {
        let roots = variables(set);
        roots
            .iter()
            .map(|r| r.path.to_str().unwrap().replace('\\', "/"))
            .collect()
    };
    assert_eq!(
        listed(&[("HOME", "/h"), ("KINORA_MODELS", paths.to_str().unwrap())]),
        ["/m1", "/m2", "/h/ComfyUI/models", "/h/.cache/huggingface/hub"]
    );
    assert_eq!(
        listed(&[
            ("HOME", "/h"),
            ("COMFYUI_PATH", "/c"),
            ("HF_HOME", "/hf"),
            ("XDG_CACHE_HOME", "/x")
        ]),
        ["/c/models", "/hf/hub"]
    );
    assert_eq!(listed(&[("HF_HUB_CACHE", "/hub"), ("HF_HOME", "/hf")]), ["/hub"]);
    assert_eq!(
        listed(&[("USERPROFILE", "/u"), ("XDG_CACHE_HOME", "/x")])[1],
        "/x/huggingface/hub"
    );
    assert!(listed(&[]).is_empty());
    let set = variables(&[("HOME", "/nowhere"), ("KINORA_MODELS", "/m1")]);
    assert_eq!(download_folder(&set), Some(Path::new("/m1")));
    assert_eq!(download_folder(&variables(&[("HOME", "/nowhere")])), None);
}
