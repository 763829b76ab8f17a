//! `kinora plan`, and what a render says before it starts: what each stage takes, and whether it fits.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use kinora_graph::Executor;
use kinora_models::lora;
use kinora_models::pipeline::{Plan, PlannedStage, Settings};
use kinora_models::wan::Model;
use kinora_models::wan::transformer::TextKeys;
use serde_json::{Value, json};

use super::args::{ClipArgs, ModelArgs};
use super::model;
use super::settings::resolve;
use crate::cli::Global;
use crate::{executor, units};

/// Arguments of `kinora plan`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Nothing is rendered and no weights are read; the device is timed for a moment.

Examples:
  kinora plan --model Wan2.2-TI2V-5B-Diffusers
  kinora plan --vram 8G --model wan2.2_ti2v_5B_q4_k.gguf wan2.2_vae.safetensors umt5_xxl_fp8_e4m3fn_scaled.safetensors
  kinora plan --size 832x480 --frames 81 --vram 6G --ram 16G --model MODEL
  kinora plan --json --model MODEL

Exit status: 0 where the render fits, 1 where it does not.")]
pub struct PlanArgs {
    /// Files and folders of the model
    #[command(flatten)]
    pub model: ModelArgs,
    /// Settings of the clip
    #[command(flatten)]
    pub clip: ClipArgs,
    /// Show which kernels are taken where several compute the same, and whether that was measured on this device
    ///
    /// A plan measures none: the first render does.
    #[arg(long)]
    pub kernels: bool,
}

/// `kinora plan`
pub(crate) fn run(global: &Global, args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let mut model = model::open(&args.model)?;
    let mut notes = lora::apply(&mut model, &args.model.lora)?;
    let settings = resolve(None, &args.model, &args.clip, &model, None, &mut notes)?;
    for note in notes {
        eprintln!("note: {note}");
    }
    let mut executor = executor::of(global)?;
    executor.measure()?;
    let plan = Plan::new(
        &model,
        &settings,
        args.clip.image.is_some(),
        &*executor,
        global.memory.ram(),
    )?;
    let mut out = std::io::stdout().lock();
    if global.json() {
        let mut event = event(&plan, &model, &settings, &*executor);
        event["event"] = "plan".into();
        event["kernels"] = executor
            .kernel_choices()
            .iter()
            .map(|c| json!({ "work": c.work, "kernel": c.kernel, "measured": c.measured }))
            .collect();
        writeln!(out, "{event}")?;
    } else {
        writeln!(out, "{}", heading(&model, &settings))?;
        writeln!(out, "{}", text(&plan, &*executor))?;
        for choice in executor.kernel_choices().iter().filter(|_| args.kernels) {
            let origin = if choice.measured { "measured" } else { "by rule" };
            writeln!(out, "{:<48} {:<8} {origin}", choice.work, choice.kernel)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The clip in words.
pub(super) fn heading(model: &Model, settings: &Settings) -> String {
    let [high, low] = settings.guidance;
    let guidance = match model.low {
        Some(_) => format!("{high} and {low}"),
        None => high.to_string(),
    };
    format!(
        "{}: {}x{}, {} frames, {} steps ({}), guidance {guidance}, shift {}, seed {}",
        model.name(),
        settings.width,
        settings.height,
        settings.frames,
        settings.steps,
        settings.sampler,
        settings.shift,
        settings.seed,
    )
}

/// A table of the stages and what follows from them.
pub(super) fn text(plan: &Plan, executor: &dyn Executor) -> String {
    let mut lines = vec![format!(
        "{:<9} {:>10} {:>11} {:>10} {:>10} {:>10} {:>12}  about",
        "stage", "weights", "activations", "on device", "on host", "from disk", "work"
    )];
    for stage in &plan.stages {
        lines.push(format!(
            "{:<9} {:>10} {:>11} {:>10} {:>10} {:>10} {:>12}  {}",
            stage.stage.to_string(),
            units::memory(stage.weights),
            units::memory(stage.activations),
            units::memory(stage.device),
            units::memory(stage.host),
            units::memory(stage.disk),
            format!("{}FLOP", units::count(stage.flops)),
            units::duration(stage.seconds),
        ));
    }
    lines.extend(plan.stages.iter().filter_map(passing));
    if plan.text_keys == TextKeys::Inline {
        lines.push("keys and values of the text are computed in each step: there is no room to keep them".into());
    }
    if let Some(tiling) = plan.tiling {
        let [h, w] = tiling.tile();
        lines.push(format!(
            "the picture is decoded in tiles of {w}x{h} latents, since a whole frame does not fit: it will differ a little from one decoded whole"
        ));
    }
    lines.push(format!(
        "fits: needs {} on {} and {} of the machine's memory, about {}",
        units::memory(plan.device()),
        executor.describe(),
        units::memory(plan.host()),
        units::duration(plan.seconds()),
    ));
    lines.join("\n")
}

/// That weights do not stay on the device.
fn passing(stage: &PlannedStage) -> Option<String> {
    let (bytes, runs) = stage.streamed;
    (bytes > 0).then(|| {
        format!(
            "{}: {} of weights pass through the device {}",
            stage.stage,
            units::memory(bytes),
            if runs == 1 {
                "once".into()
            } else {
                format!("{runs} times")
            },
        )
    })
}

/// The same for other programs.
pub(super) fn event(plan: &Plan, model: &Model, settings: &Settings, executor: &dyn Executor) -> Value {
    let stages: Vec<Value> = plan
        .stages
        .iter()
        .map(|s| {
            json!({
                "stage": s.stage, "weight_bytes": s.weights, "activation_bytes": s.activations,
                "device_bytes": s.device, "host_bytes": s.host, "disk_bytes": s.disk,
                "streamed_bytes": s.streamed.0, "streamed_times": s.streamed.1,
                "flops": s.flops, "seconds": s.seconds,
            })
        })
        .collect();
    json!({
        "model": model.name(), "settings": settings, "device": executor.describe(), "stages": stages,
        "device_bytes": plan.device(), "host_bytes": plan.host(), "seconds": plan.seconds(), "flops": plan.flops(),
        "tiled": plan.tiling.is_some(), "text_keys_kept": plan.text_keys == TextKeys::States,
    })
}
