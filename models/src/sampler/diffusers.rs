//! Samplers from diffusers' scheduler configurations, for `kinora verify` and for diffusers model folders.

use serde_json::Value;

use super::{
    DpmSolverPp, Euler, Result, Sampler, SamplerError, Schedule, SecondOrder, UniPc, config::Config, original,
    schedule::Shift,
};

const UNIPC: &str = "UniPCMultistepScheduler";
const EULER: &str = "FlowMatchEulerDiscreteScheduler";
const DPMPP: &str = "DPMSolverMultistepScheduler";

/// The arguments of `set_timesteps`.
struct Timesteps {
    steps: usize,
    sigmas: Option<Vec<f64>>,
    mu: Option<f64>,
}

/// Makes the sampler that diffusers 0.42 would: `class` is the scheduler's class name, `config` its configuration
/// (absent keys have diffusers' defaults), `args` holds `num_inference_steps` and optionally
/// `set_timesteps: {sigmas, mu}`. The solver classes of Wan's own repository are known too.
///
/// A configuration value that changes the result and is not implemented is an error; so is an unknown key. Keys
/// that start with `_`, and values without effect on flow sigmas (betas, timestep spacing), are accepted.
///
/// # Errors
/// [`SamplerError::Class`] for an unknown class, [`SamplerError::Config`] for such a value, or what the schedule
/// gives.
pub fn from_diffusers(class: &str, config: &Value, args: &Value) -> Result<Box<dyn Sampler>> {
    match class {
        UNIPC => unipc(config, args),
        EULER => euler(config, args),
        DPMPP => dpmpp(config, args),
        original::UNIPC => original::unipc(config, args),
        original::DPMPP => original::dpmpp(config, args),
        _ => Err(SamplerError::Class {
            class: class.into(),
            known: [UNIPC, EULER, DPMPP, original::UNIPC, original::DPMPP].join(", "),
        }),
    }
}

impl Timesteps {
    fn read(class: &'static str, args: &Value) -> Result<Self> {
        let mut args = Config::new(class, args)?;
        let steps = args.integer("num_inference_steps")?;
        let mut call = Config::new(class, args.value("set_timesteps").unwrap_or(&Value::Null))?;
        args.without_effect(&["note"]);
        args.finish()?;
        let (sigmas, mu) = (call.numbers("sigmas")?, call.number("mu")?);
        call.finish()?;
        let steps = match &sigmas {
            Some(sigmas) if steps.is_some_and(|steps| steps != sigmas.len()) => {
                return Err(SamplerError::Sigmas(format!(
                    "{} levels for {} steps",
                    sigmas.len(),
                    steps.unwrap_or(0)
                )));
            }
            Some(sigmas) => sigmas.len(),
            None => steps.unwrap_or(0),
        };
        Ok(Self { steps, sigmas, mu })
    }

    /// The dynamic shift, for which `mu` must be given; or the constant one, for which it must not.
    fn shift(&self, config: &mut Config<'_>, constant: &'static str) -> Result<Shift> {
        let kind = config.require("time_shift_type", "exponential", &["exponential", "linear"])?;
        let factor = config.number(constant)?.unwrap_or(1.0);
        match (config.boolean("use_dynamic_shifting", false)?, self.mu) {
            (true, Some(mu)) if kind == "linear" => Ok(Shift::Linear(mu)),
            (true, Some(mu)) => Ok(Shift::Exponential(mu)),
            (true, None) => Err(SamplerError::Sigmas("dynamic shifting needs `mu`".into())),
            (false, Some(_)) => Err(SamplerError::Sigmas("`mu` is given but dynamic shifting is off".into())),
            (false, None) if factor.is_finite() && factor > 0.0 => Ok(Shift::Constant(factor)),
            (false, None) => Err(SamplerError::Shift(factor)),
        }
    }
}

/// What UniPC and DPM-Solver++ share: flow sigmas that end at 0, and nothing exotic.
fn require_flow(config: &mut Config<'_>) -> Result<()> {
    config.require("prediction_type", "epsilon", &["flow_prediction"])?;
    config.require_switch("use_flow_sigmas", false, true)?;
    config.require("final_sigmas_type", "zero", &["zero"])?;
    for switch in [
        "thresholding",
        "use_karras_sigmas",
        "use_exponential_sigmas",
        "use_beta_sigmas",
    ] {
        config.require_switch(switch, false, false)?;
    }
    // The betas make the sigmas, and the spacing the timesteps, of models that are not flow models; the last four
    // belong to thresholding and to the Karras and exponential grids.
    config.without_effect(&[
        "beta_start",
        "beta_end",
        "beta_schedule",
        "trained_betas",
        "rescale_betas_zero_snr",
    ]);
    config.without_effect(&["timestep_spacing", "steps_offset"]);
    config.without_effect(&[
        "dynamic_thresholding_ratio",
        "sample_max_value",
        "sigma_min",
        "sigma_max",
    ]);
    Ok(())
}

fn unipc(config: &Value, args: &Value) -> Result<Box<dyn Sampler>> {
    let call = Timesteps::read(UNIPC, args)?;
    let mut config = Config::new(UNIPC, config)?;
    require_flow(&mut config)?;
    config.require_switch("predict_x0", true, true)?;
    // bh1 and a full order at sigma 0 give NaN in diffusers itself.
    config.require("solver_type", "bh2", &["bh2"])?;
    config.require_switch("lower_order_final", true, true)?;
    config.require_absent(&["solver_p"])?;
    let order = config.integer("solver_order")?.unwrap_or(2);
    let no_corrector = config.integers("disable_corrector")?.unwrap_or_default();
    let terminal = config.number("shift_terminal")?;
    let train_steps = config.train_steps()?;
    let shift = call.shift(&mut config, "flow_shift")?;
    config.finish()?;
    let schedule = Schedule::diffusers_unipc(call.steps, shift, terminal, call.sigmas.as_deref(), train_steps)?;
    Ok(Box::new(
        UniPc::new(schedule, order)?.without_corrector_after(no_corrector),
    ))
}

fn euler(config: &Value, args: &Value) -> Result<Box<dyn Sampler>> {
    let call = Timesteps::read(EULER, args)?;
    let mut config = Config::new(EULER, config)?;
    for switch in [
        "use_karras_sigmas",
        "use_exponential_sigmas",
        "use_beta_sigmas",
        "stochastic_sampling",
    ] {
        config.require_switch(switch, false, false)?;
    }
    // Pipelines compute `mu` from these; the scheduler itself does not read them.
    config.without_effect(&["base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len"]);
    let terminal = config.number("shift_terminal")?;
    let invert = config.boolean("invert_sigmas", false)?;
    let train_steps = config.train_steps()?;
    let shift = call.shift(&mut config, "shift")?;
    config.finish()?;
    let sigmas = call.sigmas.as_deref();
    let schedule = Schedule::diffusers_euler(call.steps, shift, terminal, invert, sigmas, train_steps)?;
    Ok(Box::new(Euler::new(schedule)))
}

fn dpmpp(config: &Value, args: &Value) -> Result<Box<dyn Sampler>> {
    let call = Timesteps::read(DPMPP, args)?;
    let mut config = Config::new(DPMPP, config)?;
    require_flow(&mut config)?;
    config.require("algorithm_type", "dpmsolver++", &["dpmsolver++"])?;
    config.require_switch("use_lu_lambdas", false, false)?;
    config.require_absent(&["variance_type"])?;
    // Only the timesteps of other grids are clipped; and the last step is of first order with or without
    // `euler_at_final`, because the final sigma is 0.
    config.without_effect(&["lambda_min_clipped", "euler_at_final"]);
    let rule = match config.require("solver_type", "midpoint", &["midpoint", "heun"])? {
        "heun" => SecondOrder::Heun,
        _ => SecondOrder::Midpoint,
    };
    let order = config.integer("solver_order")?.unwrap_or(2);
    let lower_order_final = config.boolean("lower_order_final", true)?;
    let train_steps = config.train_steps()?;
    let shift = match call.shift(&mut config, "flow_shift")? {
        Shift::Constant(shift) => shift,
        Shift::Exponential(mu) => mu.exp(),
        Shift::Linear(_) => return Err(SamplerError::Sigmas("DPM-Solver has no linear time shift".into())),
    };
    if call.sigmas.is_some() {
        return Err(SamplerError::Sigmas(
            "diffusers' DPM-Solver takes no explicit levels".into(),
        ));
    }
    config.finish()?;
    let schedule = Schedule::diffusers_dpmpp(call.steps, shift, train_steps)?;
    let solver = DpmSolverPp::new(schedule, order)?;
    Ok(Box::new(
        solver.with_second_order(rule).with_lower_order_final(lower_order_final),
    ))
}
