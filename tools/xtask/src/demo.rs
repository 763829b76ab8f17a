//! `cargo xtask demo`: from a fresh clone to a clip.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::{driver, process};

/// The clip, below the repository's root.
const CLIP: &str = "target/demo/demo.mp4";

const SEED: &str = "7";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What the clip should show.
    #[arg(default_value = "a red circle moves right on a blue background")]
    prompt: String,

    /// Device, as `kinora render --device` takes it: a number, a part of its name, or `cpu`.
    #[arg(long, env = "KINORA_DEVICE")]
    device: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let kinora = process::build(&["-p", "kinora"], "kinora")?;
    let mut device = arguments.device.clone().filter(|name| !name.is_empty());
    let cpu = device.as_ref().is_some_and(|name| name.eq_ignore_ascii_case("cpu"));
    if !cpu && driver::ensure(&kinora)?.is_empty() {
        println!(
            "No graphics device was found, so the processor renders. For more speed, {}.",
            driver::REMEDY
        );
        device = Some("cpu".to_owned());
    }
    let clip = process::root().join(CLIP);
    std::fs::create_dir_all(clip.parent().expect("it lies in a folder"))?;
    let mut render = Command::new(&kinora);
    render
        .current_dir(process::root())
        .args(["render", &arguments.prompt, "-o", CLIP, "--force", "--seed", SEED]);
    // The demonstration is of the model in the box.
    render.env_remove("KINORA_MODEL");
    if let Some(device) = &device {
        render.args(["--device", device]);
    }
    let start = Instant::now();
    process::run(&mut render)?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&clip)?.len();
    println!();
    println!("The clip is {} ({:.1} kB).", clip.display(), bytes as f64 / 1e3);
    println!(
        "The model in the box (Wan 2.2's architecture, a few megabytes) made it from “{}” with seed {SEED} in {seconds:.0} s.",
        arguments.prompt
    );
    Ok(())
}
