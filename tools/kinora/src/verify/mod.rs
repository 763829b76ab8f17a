//! Cases of the reference implementation, run here and judged: `kinora verify`.
//!
//! A case is a folder with a small module's configuration, weights, inputs and the reference's outputs. It is chosen
//! by module and class; what is not implemented is reported as such and never as passed.

pub(crate) mod bisect;
mod case;
mod compare;
mod description;
mod error;
mod judge;
mod pipeline;
mod sampler;
mod session;
mod text_encoder;
mod transformer;
mod vae;

use std::path::Path;
use std::time::Instant;

use kinora_graph::{Control, Executor, Precision, Scores};

pub use bisect::{Bisect, Divergence};
pub use case::Case;
pub use compare::Difference;
pub use description::{Description, Tolerance};
pub use error::CaseError;
pub use judge::{CaseResult, Compared, Rounded, Verdict};

use case::Tensors;
use session::Session;

/// Result of this module's fallible functions.
pub(crate) type Result<T, E = CaseError> = std::result::Result<T, E>;

/// What cases are computed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arithmetic {
    /// Of products, attention and convolutions.
    pub precision: Precision,
    /// Of the scores of a transformer's self-attention.
    pub scores: Scores,
}

impl From<Precision> for Arithmetic {
    fn from(precision: Precision) -> Self {
        Self {
            precision,
            scores: Scores::Float,
        }
    }
}

/// Runs the case in `folder` and judges its outputs. Whatever happens is in the result.
///
/// Where operands are rounded, to half precision or to int8, the case runs a second time on the processor, with the same
/// roundings: see [`Rounded`]. `executor` must have the precision of `arithmetic`.
pub fn run_case(
    folder: &Path,
    executor: &mut dyn Executor,
    arithmetic: impl Into<Arithmetic>,
    control: &mut dyn Control,
) -> CaseResult {
    let start = Instant::now();
    let mut result = CaseResult::new(folder);
    result.verdict =
        judge::judge(folder, executor, arithmetic.into(), control, &mut result).unwrap_or_else(Verdict::of);
    result.seconds = start.elapsed().as_secs_f64();
    result
}

/// Runs the case in `folder` on the processor, and each of its operations alone on `device` with the processor's
/// operands; reports the first that leaves its tolerance.
///
/// # Errors
/// If the case cannot be run at all, or asks for what is not implemented.
pub fn bisect_case(
    folder: &Path,
    device: &mut dyn Executor,
    arithmetic: impl Into<Arithmetic>,
    control: &mut dyn Control,
) -> Result<Bisect> {
    let arithmetic = arithmetic.into();
    let case = Case::open(folder, supported(folder)?, arithmetic.scores)?;
    let mut executor = bisect::BisectExecutor::new(device, arithmetic.precision);
    compute(&case, &mut executor, control)?;
    Ok(executor.finish())
}

/// The description of a case that is implemented.
fn supported(folder: &Path) -> Result<Description> {
    let description = Case::describe(folder)?;
    match (description.module.as_str(), description.class.as_str()) {
        ("transformer", "WanTransformer3DModel")
        | ("vae_encoder" | "vae_decoder", "AutoencoderKLWan")
        | ("text_encoder", "UMT5EncoderModel")
        | ("sampler", _)
        | ("pipeline", "WanPipeline" | "WanImageToVideoPipeline") => Ok(description),
        (module, class) => Err(CaseError::Unsupported(format!(
            "{module} of class {class} is not implemented"
        ))),
    }
}

/// Everything that the case's module computes, under the reference's names.
fn compute(case: &Case, executor: &mut dyn Executor, control: &mut dyn Control) -> Result<Tensors> {
    let mut session = Session::new(executor, control);
    match case.description.module.as_str() {
        "transformer" => transformer::compute(case, &mut session),
        "vae_encoder" => vae::encode(case, &mut session),
        "vae_decoder" => vae::decode(case, &mut session),
        "text_encoder" => text_encoder::compute(case, &mut session),
        "sampler" => sampler::compute(case),
        _ => pipeline::compute(case, &mut session),
    }
}
