//! `kinora render` as a user meets it: the binary, files, exit statuses.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kinora_quant::{Tensor, file};

const PROMPT: &str = "a red circle moves right on a blue background";

/// The binary on the processor, with a cache of its own for all tests.
fn kinora(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinora"));
    command
        .env("KINORA_CACHE", env!("CARGO_TARGET_TMPDIR"))
        .env("KINORA_DEVICE", "cpu")
        .args(args);
    command
}

fn run(args: &[&str]) -> Output {
    kinora(args).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeed(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output));
    text(&output)
}

/// The command fails with this status, says all of `words`, and leaves nothing in `folder` beside what was there.
fn refuse(folder: &Path, args: &[&str], status: i32, words: &[&str]) {
    let before = names(folder);
    let output = run(args);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{args:?} does not say `{word}`: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(names(folder), before, "{args:?} left something behind");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// Folder of the model in the box, unpacked by a first render.
fn model_in_the_box() -> PathBuf {
    let folder = tempfile::tempdir().unwrap();
    succeed(&[
        "render",
        PROMPT,
        "-o",
        &path(&folder, "x.gif"),
        "--steps",
        "1",
        "--frames",
        "1",
    ]);
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let found = std::fs::read_dir(cache)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.file_name().unwrap().to_string_lossy().starts_with("demo-model-"));
    found.expect("the model is unpacked")
}

/// A copy of the model in the box, to be damaged.
fn copy_of_the_model(folder: &tempfile::TempDir) -> PathBuf {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let to = folder.path().join("model");
    copy(&model_in_the_box(), &to);
    to
}

/// A LoRA for the model in the box: random numbers for one layer, and one tensor that has no place in it.
fn lora(folder: &tempfile::TempDir, name: &str) -> String {
    let path = path(folder, name);
    let weights = file::open(model_in_the_box().join("transformer")).unwrap();
    let [n, k] = weights.info("blocks.0.ffn.net.0.proj.weight").unwrap().shape[..] else {
        panic!("a matrix")
    };
    let wave = |len: usize| (0..len).map(|i| (i as f32).sin()).collect::<Vec<_>>();
    let tensors = BTreeMap::from([
        (
            "lora_unet_blocks_0_ffn_0.lora_up.weight".to_owned(),
            Tensor::from_f32(&[n, 2], &wave(2 * n)),
        ),
        (
            "lora_unet_blocks_0_ffn_0.lora_down.weight".to_owned(),
            Tensor::from_f32(&[2, k], &wave(2 * k)),
        ),
        (
            "lora_unet_blocks_0_ffn_0.alpha".to_owned(),
            Tensor::from_f32(&[], &[0.5]),
        ),
        (
            "lora_unet_blocks_99_ffn_0.alpha".to_owned(),
            Tensor::from_f32(&[], &[1.0]),
        ),
    ]);
    file::save(&path, &tensors, &BTreeMap::new()).unwrap();
    path
}

/// A render on the software driver, whose kernels are measured where that is asked for.
#[test]
fn kernels_are_measured_once() {
    let software = kinora_runtime::adapters()
        .iter()
        .any(|adapter| adapter.class == kinora_runtime::DeviceClass::Software);
    if !software {
        assert!(std::env::var_os("KINORA_REQUIRE_GPU").is_none_or(|v| v != "1"));
        println!("skipped: there is no driver that runs on the processor");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |autotune: &str, args: &[&str]| {
        let mut command = kinora(args);
        command
            .env("KINORA_CACHE", folder.path())
            .env("KINORA_AUTOTUNE", autotune);
        // Rules have tiles of their own for what software drivers offer beyond that.
        command.env("KINORA_DEVICE", "software").env("KINORA_TIER", "baseline");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        (text(&output), String::from_utf8(output.stdout).unwrap())
    };
    let render = |autotune: &str, name: &str, more: &[&str]| {
        let clip = path(&folder, name);
        let clip_of = [
            "render", PROMPT, "-o", &clip, "--steps", "1", "--frames", "1", "--seed", "3",
        ];
        let (said, _) = run(autotune, &[&clip_of[..], more].concat());
        (
            said.contains("tuning: kernels for this device, once"),
            std::fs::read(clip).unwrap(),
        )
    };
    let plan = |autotune: &str, more: &[&str]| {
        let (_, plan) = run(
            autotune,
            &[&["plan", "--steps", "1", "--frames", "1", "--kernels"], more].concat(),
        );
        (plan.contains(" by rule"), plan.contains(" measured"))
    };
    let (tuned, by_rule) = render("", "rule.gif", &[]);
    assert!(!tuned, "by default a driver on the processor is not measured");
    assert_eq!(plan("1", &[]), (true, false), "a plan measures nothing");
    assert!(!render("1", "no.gif", &["--no-autotune"]).0);
    assert!(!folder.path().join("tuning").exists());
    let (tuned, first) = render("1", "first.gif", &[]);
    assert!(tuned && first == by_rule);
    // A slow machine needs more than one render.
    let again = (0..20).any(|index| {
        let (tuned, clip) = render("1", &format!("{index}.gif"), &[]);
        assert!(clip == by_rule);
        !tuned
    });
    assert!(again, "what was measured is not kept");
    assert_eq!(plan("1", &[]), (false, true));
    assert_eq!(plan("1", &["--no-autotune"]), (true, false));
    assert_eq!(plan("0", &[]), (true, false));
}

#[test]
fn loras_change_the_clip_and_are_part_of_its_identity() {
    let folder = tempfile::tempdir().unwrap();
    let lora = lora(&folder, "style.safetensors");
    let new = [PROMPT, "--seed", "5", "--steps", "2", "--frames", "1"];
    // The clip's sampled latents, what was said, and the clip.
    let render = |name: &str, what: &[&str], more: &[&str]| {
        let [clip, latents] = ["gif", "safetensors"].map(|end| path(&folder, &format!("{name}.{end}")));
        let said = succeed(&[&["render", "-o", &clip, "--save-latents", &latents], what, more].concat());
        let latent = file::open(&latents)
            .unwrap()
            .tensor("latent")
            .unwrap()
            .to_f32()
            .unwrap();
        (latent, said, clip)
    };
    let (plain, ..) = render("plain", &new, &[]);
    let (changed, said, clip) = render("changed", &new, &["--lora", &lora]);
    assert!(
        said.contains("1 tensors have no place") && said.contains("lora_unet_blocks_99_ffn_0.alpha"),
        "{said}"
    );
    assert_ne!(plain, changed);
    let (none, ..) = render("none", &new, &["--lora", &format!("{lora}:0")]);
    assert_eq!(plain, none, "a strength of 0 changes nothing");
    let (again, ..) = render("again", &["--like", &clip], &[]);
    assert_eq!(changed, again, "the clip says which LoRA it was made with");
    let (like_none, ..) = render("like-none", &["--like", &clip], &["--lora", &format!("{lora}:0")]);
    assert_eq!(plain, like_none, "a LoRA that is given goes before those of the clip");
    let (low, ..) = render("low", &new, &["--lora", &format!("{lora}@low")]);
    assert!(low != changed && low != plain, "one expert has it");
    let about = &kinora_media::read_metadata(clip.as_ref()).unwrap()["kinora"];
    assert!(about.contains("lora style.safetensors:1 sampled-sha256:"), "{about}");

    let output = run(&["inspect", &lora]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        shown.contains("LoRA (LoRA, 2 layers)") && shown.contains("--lora"),
        "{shown}"
    );
}

#[test]
fn a_distilled_pair_needs_no_other_options() {
    let folder = tempfile::tempdir().unwrap();
    let [high, low] =
        ["high", "low"].map(|expert| lora(&folder, &format!("x_lightx2v_4steps_{expert}_noise.safetensors")));
    let output = path(&folder, "x.gif");
    let pair = [
        "render", PROMPT, "-o", &output, "--frames", "1", "--steps", "2", "--lora", &high, "--lora", &low,
    ];
    let said = succeed(&pair);
    for words in [
        "for the high-noise expert",
        "for the low-noise expert",
        "made for few steps",
        "2 steps (euler), guidance 1 and 1, shift 5",
    ] {
        assert!(said.contains(words), "`{words}`: {said}");
    }
    let said = succeed(&[&pair[..], &["--force", "--guidance", "2"]].concat());
    assert!(
        said.contains("guidance 2 and 2"),
        "what the options say goes before: {said}"
    );
}

#[test]
fn loras_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clip = path(&folder, "x.gif");
    let other = path(&folder, "flux.safetensors");
    let tensors = BTreeMap::from([(
        "lora_unet_double_blocks_0_img_mlp_0.lora_up.weight".to_owned(),
        Tensor::from_f32(&[2, 1], &[0.0; 2]),
    )]);
    file::save(&other, &tensors, &BTreeMap::new()).unwrap();
    let lora = |value: &str| ["render", PROMPT, "-o", &clip, "--lora", value].map(str::to_owned);
    for (value, status, words) in [
        (
            other.clone(),
            1,
            &["flux.safetensors", "none of its 1 tensors", "HunyuanVideo or Flux"][..],
        ),
        (format!("{other}:much"), 2, &["--lora", "`much`", "no strength"]),
        (path(&folder, "nowhere.safetensors"), 1, &["nowhere.safetensors"]),
    ] {
        let args = lora(&value);
        refuse(folder.path(), &args.each_ref().map(String::as_str), status, words);
    }
    refuse(
        folder.path(),
        &["render", PROMPT, "-o", &clip, "--model", &other],
        1,
        &["give it with --lora"],
    );
}

#[test]
fn a_clip_says_how_it_was_made_and_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (first, again, other) = (
        path(&folder, "first.mp4"),
        path(&folder, "again.mp4"),
        path(&folder, "other.mp4"),
    );
    let settings = ["--seed", "5", "--steps", "4", "--attention", "int8"];
    let said = succeed(&[&["render", PROMPT, "-o", &first], &settings[..]].concat());
    assert!(said.contains("seed 5"), "{said}");
    succeed(&["render", "--like", &first, "-o", &again]);
    assert_eq!(
        std::fs::read(&first).unwrap(),
        std::fs::read(&again).unwrap(),
        "same settings, same file"
    );
    for change in [["--seed", "6"], ["--attention", "float"]] {
        succeed(&[&["render", "--like", &first, "-o", &other, "--force"], &change[..]].concat());
        assert_ne!(std::fs::read(&first).unwrap(), std::fs::read(&other).unwrap());
    }
    let inspected = run(&["inspect", &first]);
    assert!(String::from_utf8_lossy(&inspected.stdout).contains(PROMPT));
}

#[test]
fn every_format_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.webm", "a.webp", "a.gif", "png_%03d.png", "exr_%d.exr"] {
        succeed(&[
            "render",
            PROMPT,
            "-o",
            &path(&folder, name),
            "--seed",
            "1",
            "--steps",
            "2",
            "--frames",
            "5",
        ]);
    }
    assert_eq!(names(folder.path()).len(), 3 + 5 + 5, "{:?}", names(folder.path()));
}

#[test]
fn events_are_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&[
        "--json",
        "render",
        PROMPT,
        "-o",
        &path(&folder, "a.gif"),
        "--steps",
        "2",
        "--frames",
        "5",
    ]);
    let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!((events[0], *events.last().unwrap()), ("render", "written"));
    assert_eq!(events.iter().filter(|e| **e == "step").count(), 2);
}

#[test]
fn latents_can_be_decoded_later() {
    let folder = tempfile::tempdir().unwrap();
    let (clip, again, latents) = (
        path(&folder, "a.gif"),
        path(&folder, "b.gif"),
        path(&folder, "a.safetensors"),
    );
    succeed(&[
        "render",
        PROMPT,
        "-o",
        &clip,
        "--seed",
        "3",
        "--steps",
        "3",
        "--save-latents",
        &latents,
    ]);
    succeed(&["render", "--from-latents", &latents, "-o", &again]);
    assert_eq!(std::fs::read(clip).unwrap(), std::fs::read(again).unwrap());
}

#[cfg(unix)]
#[test]
fn a_stopped_render_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, stopped) = (path(&folder, "whole.gif"), path(&folder, "stopped.gif"));
    let settings = [
        "--seed",
        "9",
        "--steps",
        "150",
        "--frames",
        "5",
        "--checkpoint-every",
        "7",
    ];
    succeed(&[&["render", PROMPT, "-o", &whole], &settings[..]].concat());

    let mut child = kinora(&[&["render", PROMPT, "-o", &stopped], &settings[..]].concat())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(
        lines.any(|line| line.contains("step 3/150")),
        "the render reports its steps"
    );
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    let checkpoint = format!("{stopped}.checkpoint.safetensors");
    assert!(rest.iter().any(|line| line.contains("--resume")), "{rest:?}");
    assert_eq!(
        names(folder.path()),
        ["stopped.gif.checkpoint.safetensors", "whole.gif"],
        "no partial clip"
    );

    let said = succeed(&["render", "--resume", &checkpoint]);
    assert!(!said.contains("step 1/150"), "it does not begin anew: {said}");
    assert_eq!(std::fs::read(whole).unwrap(), std::fs::read(&stopped).unwrap());
    assert!(!Path::new(&checkpoint).exists(), "a finished render leaves no state");
}

#[test]
fn misuse_is_refused_with_what_would_work() {
    let folder = tempfile::tempdir().unwrap();
    let (clip, old) = (path(&folder, "a.gif"), path(&folder, "old.gif"));
    std::fs::write(&old, "mine").unwrap();
    let f = folder.path();
    refuse(
        f,
        &["render", PROMPT, "-o", &clip, "--frames", "18"],
        2,
        &["--frames", "17", "21"],
    );
    refuse(
        f,
        &["render", PROMPT, "-o", &clip, "--size", "70x64"],
        2,
        &["--width", "64", "80"],
    );
    refuse(f, &["render", PROMPT, "-o", &clip, "--steps", "0"], 2, &["steps"]);
    refuse(
        f,
        &["render", PROMPT, "-o", &clip, "--sampler", "magic"],
        2,
        &["magic", "unipc"],
    );
    refuse(
        f,
        &["render", PROMPT, "-o", &clip, "--image", &old],
        2,
        &["text-to-video"],
    );
    refuse(
        f,
        &["render", PROMPT, "-o", &old, "--steps", "1"],
        1,
        &["old.gif", "force"],
    );
    assert_eq!(std::fs::read(&old).unwrap(), b"mine");
    refuse(f, &["render", PROMPT, "-o", &path(&folder, "a.xyz")], 1, &["a.xyz"]);
    refuse(f, &["render", PROMPT, "-o", &path(&folder, "no/where.gif")], 1, &["no"]);
    refuse(
        f,
        &["render", PROMPT, "-o", &clip, "--device", "no-such-adapter"],
        1,
        &["no-such-adapter"],
    );
    refuse(f, &["render", "--resume", &old], 1, &["old.gif"]);
}

#[test]
fn long_and_empty_prompts_are_fine() {
    let folder = tempfile::tempdir().unwrap();
    let long = PROMPT.repeat(100);
    let said = succeed(&[
        "render",
        &long,
        "-o",
        &path(&folder, "a.gif"),
        "--steps",
        "1",
        "--frames",
        "1",
    ]);
    assert!(said.contains("warning") && said.contains("tokens"), "{said}");
    succeed(&[
        "render",
        "",
        "-o",
        &path(&folder, "b.gif"),
        "--steps",
        "1",
        "--frames",
        "1",
    ]);
}

#[test]
fn damaged_models_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let clip = path(&folder, "a.gif");
    let model = copy_of_the_model(&folder);
    let weights = model.join("transformer/diffusion_pytorch_model.safetensors");
    let whole = std::fs::read(&weights).unwrap();
    let refused = |words: &[&str]| {
        refuse(
            folder.path(),
            &["render", PROMPT, "-o", &clip, "--model", model.to_str().unwrap()],
            1,
            words,
        );
    };

    std::fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    refused(&["diffusion_pytorch_model.safetensors"]);
    std::fs::write(&weights, [b"PK\x03\x04".as_slice(), &whole].concat()).unwrap();
    refused(&["diffusion_pytorch_model.safetensors", "pickle"]);

    // Rewritten without a tensor, then with one of the wrong shape.
    std::fs::write(&weights, &whole).unwrap();
    let name = "blocks.3.ffn.net.2.weight";
    let stored = file::open(&weights).unwrap();
    let mut tensors: BTreeMap<String, Tensor<'static>> = stored
        .names()
        .into_iter()
        .map(|n| (n.clone(), stored.tensor(&n).unwrap().into_owned()))
        .collect();
    drop(stored);
    tensors.remove(name);
    file::save(&weights, &tensors, &BTreeMap::new()).unwrap();
    refused(&[name, "kinora inspect"]);
    tensors.insert(name.into(), Tensor::from_f32(&[2, 3], &[0.0; 6]));
    file::save(&weights, &tensors, &BTreeMap::new()).unwrap();
    refused(&[name, "[2, 3]"]);

    std::fs::write(&weights, &whole).unwrap();
    std::fs::write(model.join("tokenizer/tokenizer.json"), "{}").unwrap();
    refused(&["tokenizer.json"]);
    std::fs::write(model.join("vae/config.json"), "[1, 2").unwrap();
    refused(&["config.json"]);
    std::fs::remove_dir_all(model.join("vae")).unwrap();
    refused(&["vae"]);
}

#[test]
fn prompts_are_encoded_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let clips: Vec<_> = (0..3)
        .map(|turn| {
            let clip = path(&folder, &format!("{turn}.gif"));
            let output = kinora(&["render", PROMPT, "-o", &clip, "--steps", "1", "--seed", "1"])
                .env("KINORA_CACHE", &cache)
                .output()
                .unwrap();
            let said = text(&output);
            assert!(output.status.success(), "{said}");
            let kept: Vec<_> = std::fs::read_dir(cache.join("text")).unwrap().collect();
            assert_eq!(kept.len(), 2, "the prompt and the negative one");
            assert_eq!(said.contains("encoded before"), turn == 1, "{said}");
            // What is damaged is made again.
            if turn == 1 {
                for file in kept {
                    std::fs::write(file.unwrap().path(), b"damaged").unwrap();
                }
            }
            std::fs::read(clip).unwrap()
        })
        .collect();
    assert!(clips[0] == clips[1] && clips[1] == clips[2]);
}
