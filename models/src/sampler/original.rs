//! Samplers from the solver classes of Wan's own repository, as its `generate.py` calls them: for `kinora verify`.
//!
//! Source: Wan 2.2 `wan/utils/fm_solvers_unipc.py` and `wan/utils/fm_solvers.py`.

use serde_json::Value;

use super::{DpmSolverPp, Result, Sampler, SamplerError, Schedule, UniPc, config::Config};

/// The class behind `--sample_solver unipc`.
pub(super) const UNIPC: &str = "FlowUniPCMultistepScheduler";

/// The class behind `--sample_solver dpm++`.
pub(super) const DPMPP: &str = "FlowDPMSolverMultistepScheduler";

/// UniPC of order 2; `args.set_timesteps.shift` warps its grid.
pub(super) fn unipc(config: &Value, args: &Value) -> Result<Box<dyn Sampler>> {
    require_plain(UNIPC, config)?;
    let (steps, call) = call(UNIPC, args)?;
    let mut call = Config::new(UNIPC, call)?;
    let shift = call.number("shift")?.unwrap_or(1.0);
    call.finish()?;
    Ok(Box::new(UniPc::new(Schedule::wan_unipc(steps, shift)?, 2)?))
}

/// DPM-Solver++ of order 2 over `args.set_timesteps.sigmas`, which the repository makes with
/// `get_sampling_sigmas` ([`Schedule::wan_dpmpp`] gives the same).
pub(super) fn dpmpp(config: &Value, args: &Value) -> Result<Box<dyn Sampler>> {
    require_plain(DPMPP, config)?;
    let (steps, call) = call(DPMPP, args)?;
    let mut call = Config::new(DPMPP, call)?;
    let sigmas = call.numbers("sigmas")?.unwrap_or_default();
    call.finish()?;
    if sigmas.len() != steps {
        return Err(SamplerError::Sigmas(format!(
            "{} levels for {steps} steps",
            sigmas.len()
        )));
    }
    Ok(Box::new(DpmSolverPp::new(Schedule::wan_sigmas(&sigmas)?, 2)?))
}

/// Both are made with these three arguments and no others.
fn require_plain(class: &'static str, config: &Value) -> Result<()> {
    let mut config = Config::new(class, config)?;
    config.require_switch("use_dynamic_shifting", false, false)?;
    let (shift, train_steps) = (config.number("shift")?.unwrap_or(1.0), config.train_steps()?);
    if (shift, train_steps) != (1.0, 1000.0) {
        return Err(SamplerError::Config {
            class,
            key: "shift, num_train_timesteps".into(),
            value: format!("{shift}, {train_steps}"),
            why: "supported: 1, 1000".into(),
        });
    }
    config.finish()
}

/// Number of steps, and the arguments of `set_timesteps`.
fn call<'a>(class: &'static str, args: &'a Value) -> Result<(usize, &'a Value)> {
    let mut args = Config::new(class, args)?;
    let steps = args.integer("num_inference_steps")?.unwrap_or(0);
    let call = args.value("set_timesteps").unwrap_or(&Value::Null);
    args.without_effect(&["note"]);
    args.finish()?;
    Ok((steps, call))
}
