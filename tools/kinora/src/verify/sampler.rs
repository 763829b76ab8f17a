//! Samplers: the grid, and every step with the case's model outputs. Nothing of it runs on the device.

use kinora_graph::HostTensor;
use kinora_models::sampler::from_diffusers;

use super::{Case, Result, case::Tensors};

pub(crate) fn compute(case: &Case) -> Result<Tensors> {
    let description = &case.description;
    let mut sampler = from_diffusers(&description.class, &description.config, &description.args)?;
    let schedule = sampler.schedule().clone();
    let vector = |values: &[f32]| HostTensor::f32(&[values.len()], values.to_vec());
    let mut out = Tensors::from([
        ("sigmas".to_owned(), vector(&schedule.sigmas)),
        ("timesteps".to_owned(), vector(&schedule.timesteps)),
    ]);
    let sample = case.input("sample")?;
    let mut latent = sample.as_f32().map_err(|e| case.wrong("sample", e))?.to_vec();
    for step in 0..schedule.steps() {
        let name = format!("model_output.{step}");
        let velocity = case.input(&name)?;
        if velocity.shape != sample.shape {
            return Err(case.wrong(
                &name,
                format!("shape {:?}; `sample` has {:?}", velocity.shape, sample.shape),
            ));
        }
        sampler.step(step, velocity.as_f32().map_err(|e| case.wrong(&name, e))?, &mut latent);
        out.insert(
            format!("sample.{}", step + 1),
            HostTensor::f32(&sample.shape, latent.clone()),
        );
    }
    Ok(out)
}
