//! `kinora models`, `pull`, `quantize` and `synth` as a user meets them: the binary, files, exit statuses.

use std::path::Path;
use std::process::{Command, Output};

use kinora_quant::{DType, Weights, file};
use serde_json::Value;

/// The binary with nothing of this machine's environment but what `set` says.
fn run(set: &[(&str, &Path)], args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinora"));
    let own = [
        "KINORA_MODELS",
        "COMFYUI_PATH",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_TOKEN",
        "HF_TOKEN_PATH",
    ];
    for name in own {
        command.env_remove(name);
    }
    // Nothing listens there.
    command.env("HOME", "/nowhere").env("HF_ENDPOINT", "http://127.0.0.1:9");
    command.env("KINORA_DEVICE", "cpu");
    for (name, value) in set {
        command.env(name, value);
    }
    command.args(args).output().unwrap()
}

/// What a successful run prints.
fn printed(set: &[(&str, &Path)], args: &[&str]) -> String {
    let output = run(set, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a run that fails with `status` says.
fn refused(set: &[(&str, &Path)], args: &[&str], status: i32) -> String {
    let output = run(set, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn tree(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::write(folder.path().join(name), [0; 2000]).unwrap();
    }
    folder
}

#[test]
fn models_says_what_is_there_and_what_is_missing() {
    let folder = tree(&[
        "Wan2.2-TI2V-5B-Q4_K_M.gguf",
        "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
        "wan2.2_vae.safetensors",
    ]);
    let set = [("KINORA_MODELS", folder.path())];
    let text = printed(&set, &["models", "wan2.2-ti2v-5b"]).replace(folder.path().to_str().unwrap(), "MODELS");
    assert_eq!(
        text,
        "wan2.2-ti2v-5b: --model wan2.2-ti2v-5b\n\
         \u{20} transformer       MODELS/Wan2.2-TI2V-5B-Q4_K_M.gguf  2.00 kB\n\
         \u{20} text encoder      MODELS/umt5_xxl_fp8_e4m3fn_scaled.safetensors  2.00 kB\n\
         \u{20} autoencoder       MODELS/wan2.2_vae.safetensors  2.00 kB\n\
         \n\
         Looked in:\n\
         \u{20} MODELS (KINORA_MODELS)\n\
         \u{20} /nowhere/ComfyUI/models (ComfyUI's usual place, not there)\n\
         \u{20} /nowhere/.cache/huggingface/hub (the hub's usual cache, not there)\n"
    );
    let text = printed(&set, &["models"]);
    for word in [
        "wan2.2-t2v-a14b: incomplete",
        "missing; wan_2.1_vae.safetensors",
        "kinora pull wan2.2-t2v-a14b",
    ] {
        assert!(text.contains(word), "{text} lacks {word}");
    }
    let report: Value = serde_json::from_str(&printed(&set, &["models", "wan2.2-ti2v-5b", "--json"])).unwrap();
    assert_eq!(report["models"][0]["ready"], serde_json::json!(["q4_k_m"]));
    assert_eq!(report["models"][0]["parts"][1]["role"], "text-encoder");
    assert_eq!(report["looked_in"][0]["because"], "KINORA_MODELS");
    assert!(refused(&set, &["models", "wan9"], 2).contains("wan2.2-ti2v-5b"));
}

#[test]
fn a_render_by_name_says_what_it_lacks() {
    let folder = tree(&["Wan2.2-TI2V-5B-Q4_K_M.gguf", "wan2.2_vae.safetensors"]);
    let set = [("KINORA_MODELS", folder.path())];
    let output = folder.path().join("x.gif");
    let said = refused(
        &set,
        &[
            "render",
            "x",
            "-o",
            output.to_str().unwrap(),
            "--model",
            "wan2.2-ti2v-5b:q4_k",
        ],
        1,
    );
    for word in [
        "text encoder",
        "umt5_xxl_fp16.safetensors",
        "kinora pull wan2.2-ti2v-5b:q4_k",
    ] {
        assert!(said.contains(word), "{said} lacks {word}");
    }
}

#[test]
fn pull_plans_and_refuses() {
    let folder = tree(&["Wan2.2-TI2V-5B-Q4_K_M.gguf"]);
    let set = [("KINORA_MODELS", folder.path())];
    let output = run(&set, &["pull", "wan2.2-ti2v-5b", "--dry-run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for word in [
        "/resolve/main/split_files/vae/wan2.2_vae.safetensors -> ",
        "umt5_xxl_fp8_e4m3fn_scaled",
        "not available",
    ] {
        assert!(said.contains(word), "{said} lacks {word}");
    }
    assert!(
        !said.contains("wan2.2_ti2v_5B_fp16"),
        "the transformer is there: {said}"
    );
    assert!(refused(&[], &["pull", "wan2.2-ti2v-5b"], 2).contains("set KINORA_MODELS"));
    assert!(refused(&set, &["pull", "wan2.2-ti2v-5b:q9"], 2).contains("q4_k_m"));
    assert!(refused(&set, &["pull", "a/../b"], 2).contains("ORGANISATION/REPOSITORY/PATH"));
    assert!(refused(&set, &["pull", "nonsense"], 2).contains("wan2.2-ti2v-5b"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn made_up_files_quantise_and_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let models = path("models");
    printed(
        &[],
        &[
            "synth",
            "wan2.1-t2v-1.3b",
            "--type",
            "q4_k",
            "--part",
            "vae",
            "-o",
            &models,
        ],
    );
    let text = printed(&[("KINORA_MODELS", Path::new(&models))], &["models", "wan2.1-t2v-1.3b"]);
    assert!(text.contains("vae/wan_2.1_vae_f16.safetensors  254 MB"), "{text}");
    let vae = format!("{models}/vae/wan_2.1_vae_f16.safetensors");
    let text = printed(&[], &["quantize", &vae, &path("vae.gguf"), "--type", "bf16"]);
    let total = text.lines().last().unwrap();
    assert!(
        total.contains("tensors changed") && total.contains("254 MB -> 254 MB (100 %)"),
        "{total}"
    );
    let written = file::open(path("vae.gguf")).unwrap();
    assert!(
        written
            .names()
            .iter()
            .all(|name| written.info(name).unwrap().dtype == DType::BF16)
    );
    assert!(refused(&[], &["quantize", &vae, &path("vae.gguf"), "--type", "bf16"], 2).contains("--force"));
    assert!(refused(&[], &["quantize", &vae, &path("x.gguf"), "--type", "q4_k"], 1).contains("not quantised"));
    assert!(
        refused(
            &[],
            &["synth", "wan2.2-t2v-a14b", "--type", "f16", "-o", &path("x.gguf")],
            2
        )
        .contains("--part")
    );
    let wrong = [
        "synth",
        "wan2.2-ti2v-5b",
        "--type",
        "f16",
        "--part",
        "high",
        "-o",
        &models,
    ];
    assert!(refused(&[], &wrong, 2).contains("transformer, text encoder, autoencoder"));
    assert!(!Path::new(&path("x.gguf")).exists());
}
